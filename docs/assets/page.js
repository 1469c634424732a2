// A figure opens at its full size, where its lettering is large enough to read.
function enlarge() {
  for (const image of document.querySelectorAll("article img")) {
    if (image.closest("a")) continue;
    const anchor = document.createElement("a");
    anchor.className = "figure";
    anchor.href = image.src;
    anchor.title = "Full size";
    image.replaceWith(anchor);
    anchor.append(image);
  }
}

// A long name in a table breaks where its parts are joined, and nowhere else.
function breaks() {
  for (const code of document.querySelectorAll("article td code")) {
    if (code.children.length || code.closest("pre")) continue;
    const parts = code.textContent.split(/(?<=[_.,(/=])(?=\w)/);
    code.replaceChildren(
      ...parts.flatMap((part, i) => (i ? [document.createElement("wbr"), part] : [part])),
    );
  }
}

// What scrolls by itself does so by keys, too.
function keys() {
  const wide = ".md-typeset__scrollwrap, div.arithmatex, .katex-display";
  for (const element of document.querySelectorAll(wide)) {
    if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
  }
}

document.addEventListener("DOMContentLoaded", () => {
  enlarge();
  breaks();
});
window.addEventListener("load", keys);
