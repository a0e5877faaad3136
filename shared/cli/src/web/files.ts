import { extname } from 'node:path';

/** Content by the path under which a browser asks for it, without the leading slash. */
export type Files = ReadonlyMap<string, string | Buffer>;

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
};

export const contentType = (name: string): string => types[extname(name)] ?? 'application/octet-stream';

/** The one page. `live`: a server answers it; else it reads what was recorded, from scripts beside it. */
export function html({ live }: { readonly live: boolean }): string {
  return `${[
    '<!doctype html>',
    `<html lang="en"${live ? ' data-live' : ''}>`,
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    '<title>Concept Labs</title>',
    '<link rel="icon" href="data:,">',
    '<link rel="stylesheet" href="page.css">',
    '</head>',
    '<body>',
    '<div id="root"></div>',
    '<script src="page.js"></script>',
    '</body>',
    '</html>',
  ].join('\n')}\n`;
}
