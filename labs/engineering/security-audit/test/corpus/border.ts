import type { Twin } from './twin.ts';

/** What comes in and goes out: paths, patterns, HTML, serialised objects. */
export const border: readonly Twin[] = [
  {
    rule: 'path-traversal',
    bad: `import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
app.get('/file', async (req, res) => res.json(await readFile(join('/srv/files', req.query.name))));`,
    good: `import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
app.get('/file', async (req, res) => res.json(await readFile(join('/srv/files', basename(req.query.name)))));`,
  },
  {
    rule: 'path-traversal',
    bad: `import fs from 'node:fs';
export const handler = (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  fs.createReadStream('/srv' + url.pathname).pipe(response);
};`,
    good: `import fs from 'node:fs';
export const load = (folder) => fs.readFileSync(folder + '/settings.json');`,
  },
  {
    rule: 'path-traversal',
    bad: `import { readFile } from 'node:fs/promises';
import path from 'node:path';
app.get('/page', async (req, res) => {
  const file = path.resolve('/srv/pages', req.params.page);
  res.json(await readFile(file));
});`,
    good: `import { readFile } from 'node:fs/promises';
import path from 'node:path';
app.get('/page', async (req, res) => {
  const file = path.resolve('/srv/pages', req.params.page);
  if (!file.startsWith('/srv/pages/')) throw new Error('outside');
  res.json(await readFile(file));
});`,
  },
  {
    rule: 'path-traversal',
    bad: {
      'store.ts': `import { unlink } from 'node:fs/promises';
export class Store { remove(name) { return unlink('/srv/' + name); } static drop(name) { return unlink('/srv/' + name); } }`,
      'app.ts': `import { Store } from './store.ts';
app.delete('/file', (req) => Store.drop(req.params.name));`,
    },
    good: {
      'store.ts': `import { unlink } from 'node:fs/promises';
export class Store { static drop(id) { return unlink('/srv/' + id); } }`,
      'app.ts': `import { Store } from './store.ts';
app.delete('/file', (req) => Store.drop(parseInt(req.params.name, 10)));`,
    },
  },
  {
    rule: 'path-traversal',
    bad: `import { writeFile } from 'node:fs/promises';
app.post('/avatars', async (req) => {
  for (const { name, bytes } of req.files) await writeFile('/srv/avatars/' + name, bytes);
});`,
    good: `import { writeFile } from 'node:fs/promises';
app.post('/avatars', async (req) => {
  for (const [index, { bytes }] of req.files.entries()) await writeFile('/srv/avatars/' + Number(index), bytes);
});`,
  },
  {
    rule: 'redos',
    bad: `export const isMail = (text) => /^([a-zA-Z0-9])(([.-]|_+)?([a-zA-Z0-9]+))*@shop$/.test(text);`,
    good: `export const isMail = (text) => /^[a-zA-Z0-9._-]{1,64}@shop$/.test(text);`,
  },
  {
    rule: 'redos',
    bad: `export const words = new RegExp('^(\\\\w+\\\\s?)*$');`,
    good: `export const example = 'a pattern such as (a+)+$ takes for ever';
export const words = new RegExp('^\\\\w+(?:\\\\s\\\\w+)*$');`,
  },
  {
    rule: 'redos',
    bad: `app.get('/search', (req) => titles.filter((title) => new RegExp(req.query.q, 'i').test(title)));`,
    good: `import escapeRegExp from 'escape-string-regexp';
const build = (word) => new RegExp(escapeRegExp(word), 'i');
app.get('/search', (req) => titles.filter((title) => build(req.query.q).test(title)));`,
  },
  {
    rule: 'unsafe-html',
    bad: `export function show(element, comment) { element.innerHTML = '<p>' + comment + '</p>'; }`,
    good: `export function show(element, comment) { element.textContent = comment; }
export function clear(element) { element.innerHTML = ''; }`,
  },
  {
    rule: 'unsafe-html',
    bad: `app.get('/hello', (req, res) => res.send(\`<h1>Hello \${req.query.name}</h1>\`));`,
    good: `import escapeHtml from 'escape-html';
app.get('/hello', (req, res) => res.send(\`<h1>Hello \${escapeHtml(req.query.name)}</h1>\`));`,
  },
  {
    rule: 'unsafe-html',
    bad: { 'page.tsx': `export const Post = ({ html }) => <div dangerouslySetInnerHTML={{ __html: html }} />;` },
    good: {
      'page.tsx': `import DOMPurify from 'dompurify';
export const Post = ({ html }) => <div dangerouslySetInnerHTML={{ __html: DOMPurify.sanitize(html) }} />;`,
    },
  },
  {
    rule: 'unsafe-html',
    bad: `document.write(location.hash.slice(1));`,
    good: `document.body.append(location.hash.slice(1));`,
  },
  {
    rule: 'unsafe-deserialisation',
    bad: `import { unserialize } from 'node-serialize';
app.use('/cart', (req, res, next) => { req.cart = unserialize(req.cookies.cart); next(); });`,
    good: `app.use('/cart', (req, res, next) => { req.cart = schema.parse(JSON.parse(req.cookies.cart)); next(); });`,
  },
  {
    rule: 'unsafe-deserialisation',
    bad: `import v8 from 'node:v8';
app.post('/state', (req) => v8.deserialize(Buffer.from(req.body.state, 'base64')));`,
    good: `import v8 from 'node:v8';
export const copy = (state) => v8.deserialize(v8.serialize(state));`,
  },
];
