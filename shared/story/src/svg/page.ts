/** The card that every picture is drawn on: text, colours for light and dark, and what a screen reader reads. */
import type { Tone } from '../events.ts';
import { clean, graphemes, width, wrap } from '../text.ts';

export const WIDTH = 760;
export const PAD = 28;
export const INNER = WIDTH - 2 * PAD;

/** XML 1.0 has no place for control characters, and clean() leaves none. */
function xml(text: string): string {
  return clean(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replace(/[\ufffe\uffff]/g, '\ufffd');
}

/** A coordinate: two decimals are finer than any screen, and the same on every machine. */
export function px(value: number): string {
  return String(Math.round(value * 100) / 100 + 0);
}

/** About how wide a text is; no font is at hand, so a little more than most fonts need. */
export function textWidth(text: string, size: number, bold = false): number {
  if (bold) return textWidth(text, size) * 1.18;
  return graphemes(text).reduce(
    (sum, g) => sum + (width(g) === 2 ? 1 : /[\x20ijlft.,:;|'!()[\]]/.test(g) ? 0.36 : 0.58) * size,
    0,
  );
}

/** Wraps to about this many pixels. */
export function wrapText(text: string, size: number, pixels: number): string[] {
  const whole = clean(text);
  if (textWidth(whole, size) <= pixels) return [whole];
  return wrap(whole, Math.max(4, Math.floor(pixels / (size * 0.56))));
}

interface TextStyle {
  readonly size?: 11 | 12 | 13 | 16;
  /** Classes that colour the text; default: the main colour. */
  readonly tone?: string;
  readonly bold?: boolean;
  readonly anchor?: 'start' | 'middle' | 'end';
  /** Keep lines behind the text off its letters. */
  readonly halo?: boolean;
}

/** One line of text, its middle at y. */
export function label(x: number, y: number, text: string, style: TextStyle = {}): string {
  const { size = 12, tone = 'ink', bold = false, anchor = 'start', halo = false } = style;
  const place = anchor === 'start' ? '' : ` text-anchor="${anchor}"`;
  const weight = bold ? ' font-weight="600"' : '';
  return `<text x="${px(x)}" y="${px(y + size * 0.35)}" class="${halo ? `${tone} halo` : tone}" font-size="${size}"${weight}${place}>${xml(text)}</text>`;
}

export function rect(x: number, y: number, w: number, h: number, classes: string, radius = 3): string {
  const r = Math.min(radius, w / 2, h / 2);
  return `<rect x="${px(x)}" y="${px(y)}" width="${px(w)}" height="${px(h)}" rx="${px(r)}" class="${classes}"/>`;
}

export function line(x1: number, y1: number, x2: number, y2: number, classes: string): string {
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" class="${classes}"/>`;
}

interface Colours {
  readonly card: string;
  readonly edge: string;
  readonly ink: string;
  readonly soft: string;
  readonly grid: string;
  readonly tones: { readonly [T in Tone | 'other']: string };
}

const light: Colours = {
  card: '#ffffff',
  edge: '#d1d9e0',
  ink: '#1f2328',
  soft: '#59636e',
  grid: '#e4e9ee',
  tones: { good: '#1f883d', bad: '#d1242f', warn: '#b07800', muted: '#818b98', accent: '#0969da', other: '#8250df' },
};

const dark: Colours = {
  card: '#151b23',
  edge: '#3d444d',
  ink: '#f0f6fc',
  soft: '#9198a1',
  grid: '#2a313c',
  tones: { good: '#3fb950', bad: '#ff6b63', warn: '#d29922', muted: '#7d8590', accent: '#58a6ff', other: '#bc8cff' },
};

function rules(c: Colours): string {
  const tones = Object.entries(c.tones).map(
    ([name, hue]) =>
      `.${name}{fill:${hue}}.${name}-wash{fill:${hue};fill-opacity:.2;stroke:${hue};stroke-width:1.25}.${name}-line{stroke:${hue}}.${name}-veil{fill:${hue};fill-opacity:.1}`,
  );
  return [
    `.card{fill:${c.card};stroke:${c.edge}}`,
    `.halo{stroke:${c.card}}`,
    `.ink{fill:${c.ink}}`,
    `.soft{fill:${c.soft}}`,
    `.grid{stroke:${c.grid}}`,
    `.axis{stroke:${c.edge}}`,
    ...tones,
  ].join('');
}

/** Only `prefers-color-scheme` reaches an image inside a page: the card brings its own background along. */
const STYLE = [
  'text{font-family:system-ui,-apple-system,"Segoe UI","Noto Sans","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}',
  '.stroke{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.dash{stroke-dasharray:3 4}',
  '.halo{stroke-width:3;stroke-opacity:.8;stroke-linejoin:round;paint-order:stroke}',
  rules(light),
  `@media (prefers-color-scheme:dark){${rules(dark)}}`,
].join('\n');

/** A whole picture: `body` is drawn below the title, from y = 0 on. */
export function page(title: string, description: string, height: number, body: readonly string[]): string {
  const titles = wrapText(title, 16, INNER);
  const top = PAD + titles.length * 22 + 10;
  const total = Math.ceil(top + height + PAD - 4);
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${total}" viewBox="0 0 ${WIDTH} ${total}" role="img" aria-labelledby="title desc">`,
    `<title id="title">${xml(title)}</title>`,
    `<desc id="desc">${xml(description)}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect x="0.5" y="0.5" width="${WIDTH - 1}" height="${total - 1}" rx="12" class="card"/>`,
    ...titles.map((text, i) => label(PAD, PAD + 8 + i * 22, text, { size: 16, bold: true })),
    `<g transform="translate(0 ${top})">`,
    ...body,
    '</g>',
    '</svg>',
  ].join('\n')}\n`;
}
