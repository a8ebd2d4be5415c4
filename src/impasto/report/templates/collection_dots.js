"use strict";
// Dots in four shapes, mixed into the pixels of a canvas by hand: ten thousand paths, or copies of a small picture, take a
// browser without a graphics processor three frames, and this a part of one.

// "#1f6b63" to its three numbers.
const rgb = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));

// Circle, square, triangle, diamond, of about the same area.
const drawShape = (target, kind, x, y, r) => {
  const corners = [null, [[-0.88, -0.88], [0.88, -0.88], [0.88, 0.88], [-0.88, 0.88]], [[0, -1.15], [1.1, 0.85], [-1.1, 0.85]], [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]]][kind];
  target.beginPath();
  if (corners) for (const [u, v] of corners) target.lineTo(x + u * r, y + v * r);
  else target.arc(x, y, r, 0, 2 * Math.PI);
  target.fill();
};

// A stamp is the opacity of a shape, drawn once for each shape and radius (in quarters of a pixel).
const makeStamps = () => {
  const stamps = new Map();
  return (kind, radius) => {
    const key = kind * 256 + Math.round(radius * 4);
    let stamp = stamps.get(key);
    if (!stamp) {
      const small = document.createElement("canvas"), size = (small.width = small.height = Math.ceil(2.6 * radius) + 2);
      const target = small.getContext("2d");
      drawShape(target, kind, size / 2, size / 2, radius);
      const pixels = target.getImageData(0, 0, size, size).data;
      stamp = { size, opacity: Float32Array.from({ length: size * size }, (_, j) => pixels[4 * j + 3] / 255) };
      stamps.set(key, stamp);
    }
    return stamp;
  };
};

const mixDot = (picture, { size, opacity }, x, y, [red, green, blue], strength) => {
  const left = Math.round(x - size / 2), top = Math.round(y - size / 2), w = picture.width, h = picture.height, pixels = picture.data;
  for (let v = Math.max(0, -top); v < size && top + v < h; v++) {
    for (let u = Math.max(0, -left); u < size && left + u < w; u++) {
      const part = opacity[v * size + u] * strength;
      if (!part) continue;
      const at = 4 * ((top + v) * w + left + u);
      pixels[at] += (red - pixels[at]) * part;
      pixels[at + 1] += (green - pixels[at + 1]) * part;
      pixels[at + 2] += (blue - pixels[at + 2]) * part;
    }
  }
};
