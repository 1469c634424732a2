"""The equations of systems and models as LaTeX: what the pages of both typeset.

Names and symbols are those of the docstrings. A momentum p belongs to each coordinate.
"""

__all__ = ["MODELS", "SYSTEMS", "System"]

from typing import NamedTuple


class System(NamedTuple):
    """Both energies of a system, and what they need to be read."""

    hamiltonian: str
    lagrangian: str
    where: str = ""


_MASS = r"\tfrac12 p^\top M^{-1}(q)\, p + V(q)", r"\tfrac12 v^\top M(q)\, v - V(q)"
_GRAVITY = (
    r"\sum_i \frac{|p_i|^2}{2 m_i} - G \sum_{i<j} "
    r"\frac{m_i m_j}{\sqrt{|r_i - r_j|^2 + \varepsilon^2}}",
    r"\sum_i \frac{m_i}{2} |\dot r_i|^2 + G \sum_{i<j} "
    r"\frac{m_i m_j}{\sqrt{|r_i - r_j|^2 + \varepsilon^2}}",
)

#: Name of a system → its energies. T and V stand for themselves where both share them.
SYSTEMS = {
    "mass_spring": System(
        r"\frac{p^2}{2m} + \frac{k}{2} q^2",
        r"\frac{m}{2} \dot q^2 - \frac{k}{2} q^2",
    ),
    "duffing": System(
        r"\frac{p^2}{2} + \frac{\alpha}{2} q^2 + \frac{\beta}{4} q^4",
        r"\frac{\dot q^2}{2} - \frac{\alpha}{2} q^2 - \frac{\beta}{4} q^4",
    ),
    "driven_oscillator": System(
        r"\frac{p^2}{2m} + \frac{k}{2} q^2",
        r"\frac{m}{2} \dot q^2 - \frac{k}{2} q^2",
        r"dissipation $R = \frac{c}{2} \dot q^2$ and force $F = A \cos \omega t$",
    ),
    "linear_chain": System(
        r"\sum_i \frac{q_i^2 + p_i^2}{2} + \frac{k}{2} \sum_i (q_i - q_{i+1})^2",
        r"\sum_i \frac{\dot q_i^2 - q_i^2}{2} - \frac{k}{2} \sum_i (q_i - q_{i+1})^2",
    ),
    "quartic_chain": System(
        r"\sum_i \frac{q_i^2 + p_i^2}{2} + \alpha \sum_i (q_i - q_{i+1})^4",
        r"\sum_i \frac{\dot q_i^2 - q_i^2}{2} - \alpha \sum_i (q_i - q_{i+1})^4",
    ),
    "fput_chain": System(
        r"\sum_i \frac{p_i^2}{2} + \sum_{i=0}^{N} \Big( \frac{d_i^2}{2} "
        r"+ \frac{\alpha}{3} d_i^3 + \frac{\beta}{4} d_i^4 \Big)",
        r"\sum_i \frac{\dot q_i^2}{2} - \sum_{i=0}^{N} \Big( \frac{d_i^2}{2} "
        r"+ \frac{\alpha}{3} d_i^3 + \frac{\beta}{4} d_i^4 \Big)",
        "$d_i = q_{i+1} - q_i$, and both ends held: $q_0 = q_{N+1} = 0$",
    ),
    "toda_chain": System(
        r"\sum_i \frac{p_i^2}{2} + s \sum_i e^{q_i - q_{i+1}}",
        r"\sum_i \frac{\dot q_i^2}{2} - s \sum_i e^{q_i - q_{i+1}}",
        "$q_{N+1} = q_1$: a ring",
    ),
    "wave": System(
        r"\sum_i \Big( \frac{p_i^2}{2\,dx} + \frac{c^2}{2\,dx} (u_{i+1} - u_i)^2 \Big)",
        r"\sum_i dx \Big( \frac{\dot u_i^2}{2} - \frac{c^2}{2} "
        r"\Big( \frac{u_{i+1} - u_i}{dx} \Big)^2 \Big)",
        "$u_{N+1} = u_1$: a ring",
    ),
    "pendulum": System(
        r"\frac{p^2}{2 m l^2} + m g l\, (1 - \cos\theta)",
        r"\frac{m l^2}{2} \dot\theta^2 - m g l\, (1 - \cos\theta)",
    ),
    "double_pendulum": System(
        _MASS[0],
        r"\tfrac12 (m_1 + m_2)\, l_1^2 \dot\theta_1^2 + \tfrac12 m_2 l_2^2 "
        r"\dot\theta_2^2 + m_2 l_1 l_2 \dot\theta_1 \dot\theta_2 \cos(\theta_1 - "
        r"\theta_2) \\ &\quad + (m_1 + m_2)\, g\, l_1 \cos\theta_1 "
        r"+ m_2 g\, l_2 \cos\theta_2",
        r"$M_{11} = (m_1 + m_2) l_1^2$, $M_{12} = m_2 l_1 l_2 \cos(\theta_1 - "
        r"\theta_2)$, $M_{22} = m_2 l_2^2$, and $V$ the last two terms, negative",
    ),
    "pendulum_chain": System(
        *_MASS,
        r"$M_{ij} = l_i l_j \cos(\theta_i - \theta_j) \sum_{k \ge \max(i,j)} m_k$ and "
        r"$V = -g \sum_i l_i \cos\theta_i \sum_{k \ge i} m_k$",
    ),
    "elastic_pendulum": System(
        r"\frac{p_r^2}{2m} + \frac{p_\theta^2}{2 m r^2} - m g r \cos\theta "
        r"+ \frac{k}{2} (r - l)^2",
        r"\frac{m}{2} (\dot r^2 + r^2 \dot\theta^2) + m g r \cos\theta "
        r"- \frac{k}{2} (r - l)^2",
    ),
    "cart_pole": System(
        _MASS[0],
        r"\frac{M + m}{2} \dot x^2 + m l\, \dot x\, \dot\theta \cos\theta "
        r"+ \frac{m l^2}{2} \dot\theta^2 - m g l \cos\theta",
        r"$M$ the matrix of $(\dot x, \dot\theta)$ in $L$, and "
        r"$V = m g l \cos\theta$",
    ),
    "two_link_arm": System(
        *_MASS,
        r"$M_{11} = I_1 + I_2 + 2 c \cos q_2$, $M_{12} = I_2 + c \cos q_2$, "
        r"$M_{22} = I_2$, $V = g_1 \sin q_1 + g_2 \sin(q_1 + q_2)$",
    ),
    "central_force": System(
        r"\frac{p_r^2}{2m} + \frac{p_\theta^2}{2 m r^2} + \frac{k}{n} r^n",
        r"\frac{m}{2} (\dot r^2 + r^2 \dot\theta^2) - \frac{k}{n} r^n",
    ),
    "kepler": System(
        r"\frac{|p|^2}{2} - \frac{\mu}{\sqrt{|q|^2 + \varepsilon^2}}",
        r"\frac{|\dot q|^2}{2} + \frac{\mu}{\sqrt{|q|^2 + \varepsilon^2}}",
    ),
    "two_body": System(*_GRAVITY, "$i = 1, 2$; $r_i = (x_i, y_i)$"),
    "three_body": System(*_GRAVITY, "$i = 1, 2, 3$; $r_i = (x_i, y_i)$"),
    "n_body": System(*_GRAVITY, r"$i = 1 \dots N$; $r_i = (x_i, y_i)$"),
    "henon_heiles": System(
        r"\frac{|p|^2 + |q|^2}{2} + \lambda \Big( x^2 y - \frac{y^3}{3} \Big)",
        r"\frac{|\dot q|^2 - |q|^2}{2} - \lambda \Big( x^2 y - \frac{y^3}{3} \Big)",
    ),
    "charged_particle": System(
        r"\frac{|p - e A(q)|^2}{2m} - e E x",
        r"\frac{m}{2} |v|^2 + \frac{e B}{2} (x \dot y - y \dot x) + e E x",
        r"$A = \frac{B}{2} (-y, x)$",
    ),
    "relativistic_particle": System(
        r"p\, v - L(q, v), \quad p = v\, (1 - v^2)^{-3/2}",
        r"(1 - v^2)^{-1/2} - 1 + g\, q",
        "$L$ as published; Einstein's is that of `special_relativity`",
    ),
    "special_relativity": System(r"\sqrt{1 + p^2} - g\, q", r"-\sqrt{1 - v^2} + g\, q"),
    "free_rigid_body": System(
        _MASS[0],
        r"\tfrac12 \sum_i I_i\, \omega_i^2",
        r"$\omega = (\dot\varphi \sin\theta \sin\psi + \dot\theta \cos\psi,\; "
        r"\dot\varphi \sin\theta \cos\psi - \dot\theta \sin\psi,\; "
        r"\dot\varphi \cos\theta + \dot\psi) = B v$, "
        r"$M = B^\top \mathrm{diag}(I)\, B$, $V = 0$",
    ),
}


class Model(NamedTuple):
    """What the page of models says of one."""

    equation: str
    guarantee: str
    source: str
    experiments: tuple[str, ...] = ()


_GREYDANUS = (
    "Greydanus, Dzamba & Yosinski, [1906.01563](https://arxiv.org/abs/1906.01563)"
)
_CRANMER = "Cranmer et al., [2003.04630](https://arxiv.org/abs/2003.04630)"

#: Name in `jaxphys.models` → its equation, what holds for any weights, and where from.
MODELS = {
    "hnn": Model(
        r"H_\theta(q, p), \qquad \dot q = \frac{\partial H_\theta}{\partial p}, \quad "
        r"\dot p = -\frac{\partial H_\theta}{\partial q}",
        "The motion conserves $H_\\theta$ and the volume of phase space.",
        _GREYDANUS,
        ("mass_spring", "pendulum", "two_body", "seed_spring"),
    ),
    "separable": Model(
        r"H_\theta = T_\theta(p) + V_\theta(q)",
        "As `hnn`; explicit symplectic steps (`leapfrog`, `yoshida4`) apply.",
        "Zhong, Dey & Chakraborty, [1909.12077](https://arxiv.org/abs/1909.12077)",
    ),
    "structured": Model(
        r"H_\theta = \tfrac12\, p^\top M_\theta^{-1}(q)\, p + V_\theta(q), \qquad "
        r"M_\theta^{-1} = A_\theta A_\theta^\top + \varepsilon I",
        "As `hnn`; $M^{-1}$ is symmetric and positive definite, and momenta are not "
        "needed: `in_velocities` learns it from q and v.",
        "Zhong, Dey & Chakraborty, [1909.12077](https://arxiv.org/abs/1909.12077)",
        ("two_link_arm", "pendulum_chain"),
    ),
    "pairwise": Model(
        r"H_\theta = \sum_i t_\theta(p_i) + "
        r"\sum_{i<j} \varphi_\theta(\log |x_i - x_j|)",
        "As `hnn`; bodies are exchangeable, and moving all of them changes nothing, so "
        "that the total momentum is conserved.",
        "Battaglia et al., [1612.00222](https://arxiv.org/abs/1612.00222), for one "
        "function of all pairs",
        ("three_body",),
    ),
    "dissipative": Model(
        r"\dot q = \frac{\partial H_\theta}{\partial p} + "
        r"\frac{\partial D_\theta}{\partial p}, \qquad \dot p = "
        r"-\frac{\partial H_\theta}{\partial q} + \frac{\partial D_\theta}{\partial q}",
        "Helmholtz's split: one part without divergence, one without curl.",
        "Sosanya & Greydanus, [2201.10085](https://arxiv.org/abs/2201.10085)",
        ("damped_spring",),
    ),
    "port_hamiltonian": Model(
        r"\dot q = \frac{\partial H_\theta}{\partial p}, \qquad \dot p = "
        r"-\frac{\partial H_\theta}{\partial q} - R_\theta(q) \frac{\partial "
        r"H_\theta}{\partial p} + G_\theta(q)\, u, \qquad R_\theta = A A^\top",
        "Without inputs the energy never rises.",
        "Zhong, Dey & Chakraborty, [1909.12077](https://arxiv.org/abs/1909.12077)",
        ("pendulum_torque",),
    ),
    "lnn": Model(
        r"L_\theta(q, v), \qquad \ddot q = \Big( \frac{\partial^2 L}{\partial v "
        r"\partial v} \Big)^{-1} \Big[ \frac{\partial L}{\partial q} - "
        r"\frac{\partial^2 L}{\partial q\, \partial v} v \Big]",
        "The motion conserves $v \\cdot \\partial L/\\partial v - L$, in any "
        "coordinates. The mass matrix may be singular.",
        _CRANMER,
        ("double_pendulum", "relativistic", "seed_polar", "seed_double_pendulum"),
    ),
    "delan": Model(
        r"L_\theta = \tfrac12\, v^\top M_\theta(q)\, v - V_\theta(q), \qquad "
        r"M_\theta = A_\theta A_\theta^\top + \varepsilon I",
        "As `lnn`; $M$ is positive definite for any weights, so that torques, energies "
        "and accelerations are those of one body.",
        "Lutter, Ritter & Peters, [1907.04490](https://arxiv.org/abs/1907.04490)",
        ("two_link_arm", "double_pendulum_box", "pendulum_chain"),
    ),
    "lattice": Model(
        r"L_\theta = \sum_i \ell_\theta(u_i, u_{i+1}, \dot u_i, \dot u_{i+1})",
        "As `lnn`; every node of the ring has the same law, and the acceleration takes "
        "linear time.",
        _CRANMER,
        ("wave",),
    ),
    "forced": Model(
        r"\frac{d}{dt} \frac{\partial L_\theta}{\partial v} - "
        r"\frac{\partial L_\theta}{\partial q} = -R_\theta(q)\, v + G_\theta(q)\, u, "
        r"\qquad R_\theta \ge 0",
        "Friction takes energy and never gives any.",
        "Lutter, Ritter & Peters, [1907.04490](https://arxiv.org/abs/1907.04490)",
    ),
    "neural_ode": Model(
        r"(\dot q, \dot p) = f_\theta(q, p)",
        "Nothing: the baseline.",
        "Chen et al., [1806.07366](https://arxiv.org/abs/1806.07366)",
        ("pendulum_torque", "pendulum_chain"),
    ),
    "second_order": Model(
        r"\dot q = v, \qquad \dot v = f_\theta(q, v)",
        "The velocity is that of the position: a fairer baseline.",
        "Norcliffe et al., [2006.07220](https://arxiv.org/abs/2006.07220)",
        ("pendulum_chain",),
    ),
}
