import { Marked, type Tokens } from 'marked';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { escapeHtml, highlight } from './highlight.ts';
import { linkTo } from './route.ts';

interface MermaidPage {
  initialize(options: Readonly<Record<string, unknown>>): void;
  render(id: string, text: string): Promise<{ readonly svg: string }>;
}

/** Loaded when the first diagram is met: it is larger than all the rest. */
let mermaid: Promise<MermaidPage | undefined> | undefined;

function loadMermaid(): Promise<MermaidPage | undefined> {
  mermaid ??= new Promise((resolve) => {
    const script = document.createElement('script');
    script.src = 'mermaid.js';
    script.onload = () => resolve(Reflect.get(globalThis, 'mermaid'));
    script.onerror = () => resolve(undefined);
    document.head.append(script);
  });
  return mermaid;
}

let drawn = 0;

async function draw(place: HTMLElement): Promise<void> {
  const text = place.dataset['mermaid'] ?? '';
  const board = await loadMermaid();
  if (!board) return;
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  board.initialize({
    startOnLoad: false,
    securityLevel: 'strict',
    // Else a picture of the error is left behind, at the end of the page.
    suppressErrorRendering: true,
    theme: dark ? 'dark' : 'neutral',
  });
  drawn += 1;
  try {
    const { svg } = await board.render(`diagram-${drawn}`, text);
    place.innerHTML = svg;
    place.setAttribute('role', 'img');
    place.setAttribute('aria-label', text);
    place.tabIndex = 0;
    const drawing = place.querySelector('svg');
    // As tall letters as the text beside it has, or nearly: what is wider scrolls.
    if (drawing) drawing.style.minWidth = `${Math.round(drawing.viewBox.baseVal.width * 0.75)}px`;
  } catch {
    // Its source stays, which says the same.
  }
}

/** The README of a lab: its links lead to the page's own places, its diagrams are drawn. */
export function Markdown({ text, lab, picture }: { text: string; lab: string; picture?: string }): JSX.Element {
  const place = useRef<HTMLElement>(null);
  useEffect(() => {
    const diagrams = place.current?.querySelectorAll<HTMLElement>('[data-mermaid]') ?? [];
    const redraw = (): void => {
      // One at a time: they share one drawing board.
      void [...diagrams].reduce((before, each) => before.then(() => draw(each)), Promise.resolve());
    };
    redraw();
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', redraw);
    return () => scheme.removeEventListener('change', redraw);
  }, [text]);
  return <article ref={place} class="readme" dangerouslySetInnerHTML={{ __html: render(text, lab, picture) }} />;
}

function render(text: string, lab: string, picture: string | undefined): string {
  const marked = new Marked({
    renderer: {
      code({ text, lang = '' }: Tokens.Code) {
        if (lang === 'mermaid')
          return `<div class="diagram" data-mermaid="${escapeHtml(text)}"><pre>${escapeHtml(text)}</pre></div>`;
        const language = lang === 'ts' ? 'typescript' : lang === 'sh' ? 'bash' : lang;
        return `<pre tabindex="0"><code>${highlight(text, language)}</code></pre>`;
      },
      // Markers of the tools, and nothing else that a README of ours has a use for.
      html: ({ text }: Tokens.HTML | Tokens.Tag) => (/^\s*<!--[\s\S]*-->\s*$/.test(text) ? '' : escapeHtml(text)),
      image: ({ href, text }: Tokens.Image) =>
        href.endsWith('picture.svg') && picture !== undefined
          ? `<img class="picture" alt="${escapeHtml(text)}" src="${escapeHtml(imageOf(picture))}">`
          : escapeHtml(text),
      link({ href, tokens }: Tokens.Link) {
        const inside = this.parser.parseInline(tokens);
        const to = target(href, lab);
        return to === undefined ? inside : `<a href="${escapeHtml(to)}"${external(to)}>${inside}</a>`;
      },
      // The page has the title already.
      heading({ tokens, depth }: Tokens.Heading) {
        return depth === 1 ? '' : `<h${depth}>${this.parser.parseInline(tokens)}</h${depth}>`;
      },
      table(token: Tokens.Table) {
        const cells = (row: readonly Tokens.TableCell[], tag: string): string =>
          row.map((cell) => `<${tag}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join('');
        const rows = token.rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('');
        return `<div class="scroll" tabindex="0"><table><thead><tr>${cells(token.header, 'th')}</tr></thead><tbody>${rows}</tbody></table></div>`;
      },
    },
  });
  const html = marked.parse(text, { async: false });
  return html;
}

const external = (to: string): string => (to.startsWith('#') ? '' : ' rel="noreferrer" target="_blank"');

/** A file of the lab, another lab, or an address; anything else leads nowhere from here. */
function target(href: string, lab: string): string | undefined {
  if (/^https?:\/\//.test(href)) return href;
  const other = /^(?:\.\.\/)+(?:[\w-]+\/)?([\w-]+)\/?(?:README\.md)?$/.exec(href)?.[1];
  if (other !== undefined) return linkTo(other);
  if (href.startsWith('#') || href.startsWith('..') || /^[a-z]+:/i.test(href)) return undefined;
  const [file = '', anchor] = href.replace(/^\.\//, '').split('#');
  const line = /^L(\d+)/.exec(anchor ?? '')?.[1];
  return linkTo(lab, 'files', file.replace(/\/$/, ''), line === undefined ? undefined : Number(line));
}

/** An image of its own, so that the colours of the picture stay its own. */
export const imageOf = (svg: string): string => `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
