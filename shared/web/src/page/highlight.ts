import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import graphql from 'highlight.js/lib/languages/graphql';
import json from 'highlight.js/lib/languages/json';
import lua from 'highlight.js/lib/languages/lua';
import protobuf from 'highlight.js/lib/languages/protobuf';
import sql from 'highlight.js/lib/languages/sql';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';

for (const [name, language] of Object.entries({ bash, graphql, json, lua, protobuf, sql, typescript, xml, yaml }))
  hljs.registerLanguage(name, language);

/** HTML of a text in a language, or in that of a file's name; escaped alone where nobody knows it. */
export function highlight(text: string, language: string): string {
  const known = language.split('.').at(-1) ?? '';
  return hljs.getLanguage(known) ? hljs.highlight(text, { language: known }).value : escapeHtml(text);
}

/** The same, a line each: an element that spans lines is closed and opened again. */
export function highlightLines(text: string, language: string): readonly string[] {
  const open: string[] = [];
  return highlight(text, language)
    .split('\n')
    .map((line) => {
      const before = open.join('');
      for (const [tag] of line.matchAll(/<span [^>]*>|<\/span>/g)) {
        if (tag === '</span>') open.pop();
        else open.push(tag);
      }
      return `${before}${line}${'</span>'.repeat(open.length)}`;
    });
}

export const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
