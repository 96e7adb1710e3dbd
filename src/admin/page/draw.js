// Small drawings on canvas, in the colours of the style sheet. Octave n is the times from 2^n up to 2^(n+1) microseconds.

/** A context at the resolution of the screen, empty, with the size in CSS pixels; nothing while it is not shown. */
function sheet(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height) return null;
  const scale = window.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== across || canvas.height !== down) { canvas.width = across; canvas.height = down; }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

let ink = {};
function readInk() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["water", "heat", "soft", "line", "track", "mark", "bad"]) ink[name] = style.getPropertyValue(`--${name}`).trim();
}

/** The darkest is the most frequent; the root lets the rare ones be seen, for they are what is looked for. */
const heat = share => `rgb(${ink.heat} / ${(0.1 + 0.9 * Math.sqrt(share)).toFixed(3)})`;

/** Decades from a microsecond up, with the octave they stand at. */
const DECADES = [[1, "1 µs"], [10, "10"], [100, "100"], [1e3, "1 ms"], [1e4, "10"], [1e5, "100"], [1e6, "1 s"], [1e7, "10"], [1e8, "100"], [1e9, "1000"], [1e10, "3 h"]]
  .map(([micros, label]) => ({ octave: Math.log2(micros), label }));

function drawAxis(canvas, range) {
  const drawn = sheet(canvas);
  if (!drawn) return;
  const { pen, width, height } = drawn, unit = width / (range.high - range.low);
  pen.fillStyle = ink.soft;
  pen.font = "11px system-ui, sans-serif";
  for (const { octave, label } of DECADES) {
    const x = (octave - range.low) * unit;
    if (x < -1 || x > width - 8) continue;
    pen.textAlign = x < 8 ? "left" : "center";
    pen.fillText(label, Math.max(0, x), height - 5);
    pen.fillRect(x, height - 3, 1, 3);
  }
}

/** One lane for each of `lanes` (their octaves), and marks for p50 and p99. */
function drawSpread(canvas, lanes, range, marks) {
  const drawn = sheet(canvas);
  if (!drawn) return;
  const { pen, width, height } = drawn, unit = width / (range.high - range.low);
  const pitch = (height - 4) / lanes.length, gap = pitch > 3 ? 1 : 0;
  const most = Math.max(1, ...lanes.flat());
  pen.fillStyle = ink.track;
  for (const at of lanes.keys()) pen.fillRect(0, 2 + at * pitch, width, pitch - gap);
  for (const [at, octaves] of lanes.entries()) {
    for (const [octave, inside] of octaves.entries()) {
      if (inside <= 0) continue;
      pen.fillStyle = heat(inside / most);
      pen.fillRect((octave - range.low) * unit, 2 + at * pitch, unit - 0.5, pitch - gap);
    }
  }
  if (marks.p50 == null) return;
  const place = micros => Math.min(width - 2, (Math.log2(Math.max(1, micros)) - range.low) * unit);
  pen.fillStyle = pen.strokeStyle = ink.mark;
  pen.fillRect(place(marks.p50) - 1, 0, 2, height);
  const x = Math.round(place(marks.p99)) + 0.5;
  pen.beginPath();
  pen.moveTo(x + 3, 0.5); pen.lineTo(x, 0.5); pen.lineTo(x, height - 0.5); pen.lineTo(x + 3, height - 0.5);
  pen.stroke();
}

/** Columns `{ from, to, octaves }` over the last `span` seconds, low times at the bottom; gives how to find a cell again. */
function drawMap(canvas, columns, range, span, now) {
  const drawn = sheet(canvas);
  if (!drawn) return null;
  const { pen, width, height } = drawn, left = 46, foot = 16;
  const across = (width - left) / span, up = (height - foot) / (range.high - range.low);
  const x = time => left + (span - (now - time)) * across;
  pen.fillStyle = ink.track;
  pen.fillRect(left, 0, width - left, height - foot);
  // By the second: a column that stands for a long absence is not darker for its length.
  const often = column => Math.max(0, ...column.octaves) / (column.to - column.from);
  const most = Math.max(1e-9, ...columns.map(often));
  for (const column of columns) {
    const from = Math.max(left, x(column.from));
    for (const [octave, inside] of column.octaves.entries()) {
      if (inside <= 0) continue;
      pen.fillStyle = heat(inside / (column.to - column.from) / most);
      pen.fillRect(from, height - foot - (octave + 1 - range.low) * up, Math.max(1, x(column.to) - from - 0.3), up - 0.5);
    }
  }
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = ink.soft;
  pen.textAlign = "right";
  for (const { octave, label } of DECADES) {
    const y = height - foot - (octave - range.low) * up;
    if (y < 8 || y > height - foot + 1) continue;
    pen.fillText(label, left - 6, Math.min(y + 3, height - foot));
    pen.globalAlpha = 0.22;
    pen.fillRect(left, y, width - left, 1);
    pen.globalAlpha = 1;
  }
  for (const back of [120, 90, 60, 30, 0]) {
    pen.textAlign = back === 0 ? "right" : back === 120 ? "left" : "center";
    pen.fillText(back ? `−${back} s` : "now", x(now - back), height - 3);
  }
  return (atX, atY) => {
    const time = now - span + (atX - left) / across, octave = Math.floor(range.low + (height - foot - atY) / up);
    const column = columns.find(column => column.from <= time && time < column.to);
    return atX >= left && column ? { column, octave } : null;
  };
}

/** A line over the last `span` seconds, from zero to its own greatest value. */
function drawLine(canvas, points, span, now) {
  const drawn = sheet(canvas);
  if (!drawn) return;
  const { pen, width, height } = drawn, most = Math.max(1e-9, ...points.map(point => point.value));
  pen.fillStyle = ink.line;
  pen.fillRect(0, height - 1, width, 1);
  if (points.length < 2) return;
  const x = time => width - (now - time) / span * width, y = value => height - 1 - value / most * (height - 3);
  pen.beginPath();
  for (const point of points) pen.lineTo(x(point.time), y(point.value));
  pen.strokeStyle = ink.water;
  pen.lineWidth = 1.5;
  pen.lineJoin = "round";
  pen.stroke();
  pen.lineTo(width, height - 1);
  pen.lineTo(x(points[0].time), height - 1);
  pen.globalAlpha = 0.13;
  pen.fillStyle = ink.water;
  pen.fill();
  pen.globalAlpha = 1;
}
