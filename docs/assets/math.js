// Typesets what pymdownx.arithmatex marked, by the KaTeX that lies beside this file.
function typeset() {
  for (const element of document.querySelectorAll(".arithmatex")) {
    const source = element.textContent.trim();
    katex.render(source.slice(2, -2), element, {
      displayMode: source.startsWith("\\["),
      throwOnError: false,
    });
  }
}
document.addEventListener("DOMContentLoaded", typeset);
