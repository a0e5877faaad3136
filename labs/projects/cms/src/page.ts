import { asHtml } from './clean.ts';
import type { Hits } from './gateway.ts';
import { MOST_LETTERS } from './search.ts';

export interface Listed {
  readonly slug: string;
  readonly title: string;
  readonly teaser: string;
  readonly author?: string;
  readonly publishAt?: Date;
}

export const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1c1b19, #eceae5); --soft: light-dark(#5b5750, #b3aea4);
  --paper: light-dark(#fdfcf9, #191816); --line: light-dark(#dcd7cc, #3b3833); --accent: light-dark(#a4251c, #ff9d8f);
  --notice: light-dark(#fff3d1, #3a3014); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 44rem; padding: 0 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 Georgia, 'Times New Roman', 'Noto Serif CJK SC', serif; overflow-wrap: anywhere; }
header.top { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; justify-content: space-between;
  padding: 1rem 0; border-bottom: 2px solid var(--ink); }
header.top > a { font-size: 1.5rem; font-weight: bold; color: inherit; text-decoration: none; }
a { color: var(--accent); }
h1 { line-height: 1.2; margin: 1.5rem 0 .5rem; }
h2 { line-height: 1.25; font-size: 1.3rem; margin: 1.5rem 0 .25rem; }
.meta, .hint { color: var(--soft); font-size: .9rem; margin: .25rem 0; }
.teaser { font-size: 1.15rem; color: var(--soft); margin: 0 0 1rem; }
.notice { background: var(--notice); padding: .6rem .9rem; border-left: 4px solid var(--accent); margin: 1rem 0; }
img { max-width: 100%; height: auto; }
ul.list { list-style: none; padding: 0; margin: 0; }
ul.list li { border-bottom: 1px solid var(--line); padding: .9rem 0; }
ul.list h2 { margin: 0; }
aside { margin-top: 2.5rem; border-top: 2px solid var(--line); }
form { display: flex; flex-wrap: wrap; gap: .5rem; }
form > * { min-width: 0; max-width: 100%; }
label { display: block; font-size: .9rem; color: var(--soft); }
input, textarea, button { font: inherit; font-size: 1rem; color: var(--ink); background: var(--paper); border: 1px solid var(--soft);
  border-radius: 4px; padding: .4rem .6rem; max-width: 100%; }
button { cursor: pointer; }
button:hover { border-color: var(--accent); color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
textarea { width: 100%; min-height: 12rem; }
#said { position: sticky; top: .5rem; z-index: 1; }
#edit { margin-top: 1.5rem; align-items: end; }
.wide { width: 100%; }
.wide input { width: 100%; }
[hidden] { display: none !important; }
pre { white-space: pre-wrap; }
`;

/** A whole page. @param body is HTML: whatever strangers wrote in it is escaped, or clean */
export function page(title: string, body: string, query = ''): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${asHtml(title)}</title><link rel="stylesheet" href="/style.css"></head><body>
<header class="top"><a href="/">Friday</a><form action="/search" role="search"><input type="search" name="q" maxlength="${MOST_LETTERS}"
aria-label="Search the magazine" value="${asHtml(query)}"><button>Search</button></form></header>
<main>${body}</main></body></html>`;
}

export function frontPage(articles: readonly Listed[]): string {
  const none = '<p class="hint">Nothing is published yet.</p>';
  return page('Friday', `<h1>In this issue</h1>${articles.length > 0 ? list(articles) : none}`);
}

/** @param body clean HTML */
export function articlePage(article: Listed, body: string, related: Hits): string {
  const more =
    related.hits.length === 0 && !related.degraded
      ? ''
      : `<aside><h2>${related.degraded ? 'The latest' : 'More like this'}</h2>${notice(related)}${list(related.hits)}</aside>`;
  const teaser = article.teaser === '' ? '' : `<p class="teaser">${asHtml(article.teaser)}</p>`;
  return page(
    article.title,
    `<article><h1>${asHtml(article.title)}</h1>${teaser}<p class="meta">${byline(article)}</p>${body}</article>${more}`,
  );
}

export function searchPage(words: string, found: Hits): string {
  const count = `<p class="meta">${found.hits.length} found</p>`;
  const said = words.trim() === '' ? '<p class="hint">Type some words above.</p>' : found.degraded ? '' : count;
  return page(`Search: ${words}`, `<h1>Search</h1>${notice(found)}${said}${list(found.hits)}`, words);
}

export function messagePage(words: string): string {
  return page('Friday', `<h1>Sorry</h1><p>${asHtml(words)}</p><p><a href="/">To the front page</a></p>`);
}

const notice = ({ degraded }: Hits) =>
  degraded ? '<p class="notice" role="status">The search is away for the moment. These are the latest texts.</p>' : '';

function list(articles: readonly Listed[]): string {
  const items = articles.map(
    (each) =>
      `<li><h2><a href="/a/${encodeURIComponent(each.slug)}">${asHtml(each.title)}</a></h2>` +
      `${each.teaser === '' ? '' : `<p class="hint">${asHtml(each.teaser)}</p>`}</li>`,
  );
  return items.length === 0 ? '' : `<ul class="list">${items.join('')}</ul>`;
}

function byline({ author = '', publishAt }: Listed): string {
  const day = publishAt?.toISOString().slice(0, 10);
  return `By ${asHtml(author)}${day === undefined ? '' : `, <time datetime="${day}">${day}</time>`}`;
}
