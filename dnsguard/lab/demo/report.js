"use strict";
(() => {
  const marks = JSON.parse(document.getElementById("marks").textContent);
  const panel = document.getElementById("detail");
  let shown = null;

  const line = (name, text) => {
    const element = document.createElement(name.startsWith("pre") ? "pre" : "p");
    element.className = name;
    element.textContent = text;
    return element;
  };

  const show = (mark) => {
    const detail = marks[Number(mark.dataset.m)];
    panel.replaceChildren(line("who", detail.who), line("act", detail.act));
    panel.append(line(detail.ok ? "word" : "word no", detail.word));
    if (detail.believed) {
      panel.append(line("believed", `believed: ${detail.believed}`), line("found", `found: ${detail.found || "-"}`));
    }
    if (detail.pre.length) {
      panel.append(line("pre", detail.pre.join("\n")));
    }
    panel.append(line("pre-updates", detail.upd.join("\n")));
    panel.hidden = false;
    if (shown) {
      shown.classList.remove("on");
    }
    shown = mark;
    mark.classList.add("on");
    const box = mark.getBoundingClientRect();
    const fits = box.bottom + 8 + panel.offsetHeight < window.innerHeight;
    const beside = box.left - panel.offsetWidth - 12 > 0 ? box.left - panel.offsetWidth - 12 : box.right + 12;
    const under = Math.min(Math.max(8, box.left - 40), window.innerWidth - panel.offsetWidth - 8);
    const left = fits ? under : Math.min(beside, window.innerWidth - panel.offsetWidth - 8);
    const top = fits ? box.bottom + 8 : Math.max(8, window.innerHeight - panel.offsetHeight - 8);
    panel.style.left = `${left}px`;
    panel.style.top = `${top}px`;
  };

  const hide = () => {
    panel.hidden = true;
    if (shown) {
      shown.classList.remove("on");
      shown = null;
    }
  };

  // Marks of one moment lie over each other: of those under the pointer, the one whose middle is nearest is meant.
  const nearest = (event) => {
    const off = (mark) => {
      const box = mark.querySelector(".reach").getBoundingClientRect();
      return Math.abs(box.left + box.width / 2 - event.clientX);
    };
    const under = document.elementsFromPoint(event.clientX, event.clientY).map((each) => each.closest(".mark"));
    return under.filter((mark) => mark && mark.dataset.m).sort((one, other) => off(one) - off(other))[0];
  };

  for (const figure of document.querySelectorAll("svg.timeline")) {
    const all = Array.from(figure.querySelectorAll(".mark"));
    all.forEach((mark, at) => {
      mark.addEventListener("pointermove", (event) => {
        const meant = nearest(event);
        if (meant && meant !== shown) {
          show(meant);
        }
      });
      mark.addEventListener("focus", () => show(mark));
      mark.addEventListener("click", (event) => {
        event.stopPropagation();
        show(nearest(event) || mark);
      });
      mark.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        const next = step && all[at + step];
        if (next) {
          event.preventDefault();
          mark.tabIndex = -1;
          next.tabIndex = 0;
          next.focus();
        }
      });
    });
    figure.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") {
        hide();
      }
    });
  }
  document.addEventListener("click", (event) => {
    if (!panel.contains(event.target)) {
      hide();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      hide();
    }
  });
})();
