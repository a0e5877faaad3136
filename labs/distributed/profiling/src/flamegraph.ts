import { inspect } from 'node:util';
import { type Call, type CallTree, isOwn, type Place } from './call-tree.ts';
import { InvalidArgumentError } from './errors.ts';

export interface FlamegraphOptions {
  /** Default 'CPU time'. */
  readonly title?: string;
  /** Pixels. Default 1200. */
  readonly width?: number;
}

const ROW = 18;
const HEAD = 44;

/** Text of any kind as XML: the five signs escaped, what XML cannot hold at all (half surrogates, most controls) replaced. */
export function escapeXml(text: string): string {
  return (
    text
      .toWellFormed()
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what XML 1.0 forbids
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
      .replace(/[&<>"'\t\r\n]/g, (sign) => `&#${sign.charCodeAt(0)};`)
  );
}

/** "hotJson (shop.ts:12)": with its place, since two functions may have one name, or none. */
export function label({ name, url, line }: Place): string {
  const file = url.slice(url.lastIndexOf('/') + 1);
  return file === '' ? name : `${name} (${file}:${line})`;
}

/**
 * A flame graph: the width of a bar is its share of all work, whoever is called stands above its caller. From left to right
 * there is no time: the widest comes first. V8's own entries (garbage collection, native code) are grey, waiting is no bar.
 *
 * @returns an SVG of its own, without scripts; each bar says its figures in a tooltip
 * @throws InvalidArgumentError when `width` is no width
 */
export function flamegraph(tree: CallTree, { title = 'CPU time', width = 1200 }: FlamegraphOptions = {}): string {
  if (!Number.isFinite(width) || width < 1) {
    throw new InvalidArgumentError(`\`width\` is ${inspect(width)}: give pixels, 1 or more.`);
  }
  const { root, idleUs } = tree;
  const placed = root.totalUs > 0 ? [{ call: root, x: 0, level: 0, wide: width }] : [];
  for (const { call, x, level } of placed) {
    let from = x;
    for (const child of call.children.toSorted((a, b) => b.totalUs - a.totalUs)) {
      if (child.totalUs === 0) break;
      const wide = (child.totalUs / root.totalUs) * width;
      placed.push({ call: child, x: from, level: level + 1, wide });
      from += wide;
    }
  }
  // Level by level: the last one is on the highest.
  const height = HEAD + ROW * (1 + (placed.at(-1)?.level ?? 0)) + 8;
  const bars = placed.map(({ call, x, level, wide }) => {
    const y = height - 8 - ROW * (level + 1);
    const text = level === 0 ? 'all' : label(call);
    const figures = `${percent(call.totalUs, root.totalUs)}, of its own ${percent(call.selfUs, root.totalUs)}`;
    return (
      `<g data-level="${level}"><title>${escapeXml(`${text}: ${figures}`)}</title>` +
      `<rect x="${round(x)}" y="${y}" width="${round(wide)}" height="${ROW - 1}" fill="${colour(call, level)}"/>` +
      // As much of the text as the bar has room for: what stands in an <svg> of its own ends with it.
      `<svg x="${round(x)}" y="${y}" width="${round(wide)}" height="${ROW}"><text x="3" y="13">${escapeXml(text)}</text></svg></g>`
    );
  });
  const waited = percent(idleUs, idleUs + root.totalUs);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="monospace" font-size="11">`,
    `<rect width="100%" height="100%" fill="#fffdf7"/>`,
    `<text x="8" y="18" font-size="14">${escapeXml(title)}</text>`,
    `<text x="8" y="34" fill="#666">${(root.totalUs / 1000).toFixed(0)} ms of work in ${tree.samples} samples; waited ${waited} of the run</text>`,
    ...bars,
    '</svg>\n',
  ].join('\n');
}

const percent = (part: number, all: number) => `${(all === 0 ? 0 : (100 * part) / all).toFixed(1)} %`;
const round = (pixels: number) => Number(pixels.toFixed(4));

/** Warm for what a script does, the same function the same hue; grey for V8's own. */
function colour(call: Call, level: number): string {
  if (level === 0 || isOwn(call, '(garbage collector)') || isOwn(call, '(program)')) return '#c9c9c9';
  let hash = 0;
  for (const byte of Buffer.from(call.key)) hash = (hash * 31 + byte) % 40;
  return call.url.startsWith('node:') ? `hsl(${190 + hash} 45% 72%)` : `hsl(${10 + hash} 85% 66%)`;
}
