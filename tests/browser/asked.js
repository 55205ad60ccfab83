"use strict";

// the charts that are shown
window.charts = () =>
  [...document.querySelectorAll(".chart svg")].filter((svg) => svg.getBoundingClientRect().width);

// pairs of words in a chart that cover each other by more than a pixel or two
window.overlaps = () => charts().flatMap((svg) => {
  const boxes = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], place) => boxes.slice(place + 1)
    .filter(([, q]) => Math.min(p.right, q.right) - Math.max(p.left, q.left) > 2
      && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 3)
    .map(([b]) => `${a} | ${b}`));
});

// words of charts that reach beyond their card
window.beyond = () => charts().flatMap((svg) => {
  const card = svg.closest(".card").getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < card.left || box.right > card.right;
  }).map((text) => text.textContent);
});

// the least contrast, by WCAG 2, of text with what is behind it, and where that is
window.least_contrast = () => {
  const luminance = (color) => {
    const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (!/, 0\)$/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (node, color) => {
    const [a, b] = [luminance(color), luminance(behind(node))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.outerHTML.slice(0, 120)];
  };
  const kinds = "p, td, th, dd, dt, figcaption, summary, .tile span, .badge, code, nav a, .el:not(.none)";
  const texts = [...document.querySelectorAll(kinds)]
    .filter((node) => node.getBoundingClientRect().width && node.textContent.trim())
    .map((node) => contrast(node, getComputedStyle(node).color));
  const words = [...document.querySelectorAll(".chart svg text")]
    .map((node) => contrast(node, getComputedStyle(node).fill));
  return [...texts, ...words].sort((a, b) => a[0] - b[0])[0];
};

// what a page would do that somebody had put a script and a picture into
window.intrude = () => {
  const script = document.createElement("script");
  script.textContent = "window.stolen = 1";
  const image = new Image();
  image.src = "http://127.0.0.1:9/x";
  document.body.append(script, image);
};
