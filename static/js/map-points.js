// The points of a map: read from the binary message (docs/map.md), found by place, coloured. Draws nothing.
"use strict";

const MAP_SIZE = 65535;
const CELLS = 128; // a side of the grid in which points are looked up
const FAINT = 7, MIDDLE = 8, STRONG = 9; // places in the palette; 0 to 6 are the scale of densities
const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array };

class MapPoints {
  constructor(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    let offset = 4 + length;
    for (const { name, type } of header.columns) {
      const bytes = header.count * ARRAYS[type].BYTES_PER_ELEMENT;
      this[name] = new ARRAYS[type](buffer.slice(offset, offset + bytes));
      offset += bytes;
    }
    const texts = new TextDecoder().decode(new Uint8Array(buffer, offset)).split("\n");
    let labelled = 0;
    this.texts = new Map();
    for (let i = 0; i < header.count; i++) if (this.label[i]) this.texts.set(i, texts[labelled++]);
    Object.assign(this, { count: header.count, tagNames: header.tags, concepts: header.concepts });
    this._fillGrid();
  }

  _cell(i) {
    return ((this.y[i] * CELLS) >> 16) * CELLS + ((this.x[i] * CELLS) >> 16);
  }

  // Points in the order of their cells, and where each cell begins: a counting sort.
  _fillGrid() {
    this.starts = new Uint32Array(CELLS * CELLS + 1);
    for (let i = 0; i < this.count; i++) this.starts[this._cell(i) + 1]++;
    for (let cell = 0; cell < CELLS * CELLS; cell++) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    this.byCell = new Uint32Array(this.count);
    for (let i = 0; i < this.count; i++) this.byCell[next[this._cell(i)]++] = i;
  }

  // The point nearest to (x, y) within `reach`, all in map coordinates; -1 when there is none.
  nearest(x, y, reach) {
    const cell = (value) => Math.max(0, Math.min(CELLS - 1, Math.floor((value * CELLS) / 65536)));
    let found = -1, best = reach * reach;
    for (let row = cell(y - reach); row <= cell(y + reach); row++) {
      const first = this.starts[row * CELLS + cell(x - reach)], stop = this.starts[row * CELLS + cell(x + reach) + 1];
      for (let place = first; place < stop; place++) {
        const i = this.byCell[place];
        const square = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
        if (square <= best) [found, best] = [i, square];
      }
    }
    return found;
  }

  // Which points lie in a polygon of [x, y], by the rule of the server: 1 or 0 each.
  inside(corners) {
    const held = new Uint8Array(this.count);
    corners.forEach(([x1, y1], place) => {
      const [x2, y2] = corners[(place + 1) % corners.length];
      if (y1 === y2) return;
      const slope = (x2 - x1) / (y2 - y1);
      for (let i = 0; i < this.count; i++) {
        const y = this.y[i];
        if (y1 > y !== y2 > y && this.x[i] < x1 + (y - y1) * slope) held[i] ^= 1;
      }
    });
    return held;
  }

  // Chooses a colour of the palette for every point and puts the points in the order in which they are drawn:
  // what is emphasised lies on top.
  colour(by, choice, held) {
    const level = this._levels(by, choice);
    const counts = new Uint32Array(12);
    this.level = new Uint8Array(this.count);
    for (let i = 0; i < this.count; i++) {
      this.level[i] = held && !held[i] ? FAINT : level(i);
      counts[this._rank(i) + 1]++;
    }
    for (let rank = 0; rank < 11; rank++) counts[rank + 1] += counts[rank];
    this.order = new Uint32Array(this.count);
    for (let i = 0; i < this.count; i++) this.order[counts[this._rank(i)]++] = i;
  }

  _rank(i) {
    return this.level[i] === FAINT ? 0 : this.level[i] + 1;
  }

  _levels(by, choice) {
    const emphasis = (is, isOther) => (i) => (is(i) ? STRONG : isOther(i) ? MIDDLE : FAINT);
    if (by === "label") return emphasis((i) => this.label[i] === 1, (i) => this.label[i] === 2);
    if (by === "tag") return emphasis((i) => (this.tags[i] >>> choice) & 1, (i) => this.tags[i]);
    if (by === "concept") return emphasis((i) => this.concept[i] === choice + 1, (i) => this.concept[i]);
    return (i) => densityLevel(this.density[i]);
  }

  // What the legend says: [colour, words] each.
  legend(by, choice) {
    if (by === "label") return [[FAINT, "unlabelled"], [MIDDLE, "by a machine"], [STRONG, "by a person"]];
    if (by === "tag") return this._emphasised(this.tagNames[choice], "another tag", "no tag");
    if (by === "concept") return this._emphasised(this.concepts[choice]?.title, "another concept", "no concept");
    const edges = ["under 0.0003 %", "0.001 %", "0.01 %", "0.1 %", "1 %", "10 %", "over 31.6 %"];
    return edges.map((words, level) => [level, words]);
  }

  _emphasised(name, other, none) {
    return name === undefined ? [[FAINT, none]] : [[FAINT, none], [MIDDLE, other], [STRONG, name]];
  }
}

// One level for each factor of ten of the density, centred on 0.001 %, 0.01 %, ... 10 %; dead features are the lowest.
const densityLevel = (density) => {
  if (density <= 0) return 0;
  return Math.max(0, Math.min(6, Math.round(Math.log10(density) + 6)));
};
