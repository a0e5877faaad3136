import { type Contract, deref, listOf, type Operation, operationsOf, recordOf, type Schema } from './operations.ts';

/** A contract to read: no script, nothing from another server, every text from the contract escaped. @throws ContractError */
export function contractPage(contract: Contract): string {
  const info = recordOf(recordOf(contract)['info']);
  const operations = operationsOf(contract);
  const title = escaped(info['title']);
  const links = operations.map(
    (each) => `<li><a href="#${idOf(each)}">${nameOf(each)}</a> ${escaped(each.summary)}</li>`,
  );
  const schemas = Object.entries(recordOf(recordOf(recordOf(contract)['components'])['schemas']));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>${title}</title><style>${PAGE_STYLE}</style></head>
<body><header><h1>${title} <small>${escaped(info['version'])}</small></h1><p>${escaped(info['description'])}</p>
<nav><ul>${links.join('')}</ul><p><a href="openapi.json">openapi.json</a></p></nav></header>
<main>${operations.map((each) => section(contract, each)).join('')}
<h2>Schemas</h2>${schemas
    .map(
      ([name, schema]) =>
        `<section id="schema-${escaped(name)}"><h3>${escaped(name)}</h3>${fields(contract, recordOf(schema))}</section>`,
    )
    .join('')}</main></body></html>`;
}

function section(contract: Contract, operation: Operation): string {
  const { parameters, body, responses } = operation;
  const inputs = parameters.map((each) =>
    row(each.name, `${each.in}${each.required ? ', required' : ''}`, typeOf(each.schema), each.description),
  );
  const answers = Array.from(responses, ([status, { description, headers, content }]) =>
    row(status, headers.join(', '), Array.from(content, ([, schema]) => typeOf(schema)).join(', '), description),
  );
  return `<section id="${idOf(operation)}"><h2>${nameOf(operation)}</h2>
<p>${escaped(operation.summary)}${operation.secured ? ' <em>With a bearer token.</em>' : ''}</p>
${inputs.length > 0 ? table('Parameters', inputs) : ''}
${body ? `<h3>Body</h3>${'$ref' in body.schema ? `<p>${typeOf(body.schema)}</p>` : fields(contract, body.schema)}` : ''}
${table('Answers', answers)}</section>`;
}

function fields(contract: Contract, given: Schema): string {
  const schema = deref(contract, given);
  const required = new Set(listOf(schema['required']));
  const rows = Object.entries(recordOf(schema['properties'])).map(([name, field]) =>
    row(name, required.has(name) ? 'always' : 'optional', typeOf(recordOf(field)), recordOf(field)['description']),
  );
  return `<p>${escaped(schema['description'])}</p>${rows.length > 0 ? table('', rows) : `<p>${typeOf(schema)}</p>`}`;
}

/** A schema in a few words; what has a name is a link. */
function typeOf(schema: Schema): string {
  const { $ref, type, items, pattern, anyOf } = schema;
  if (typeof $ref === 'string') {
    const name = escaped($ref.split('/').at(-1));
    return `<a href="#schema-${name}">${name}</a>`;
  }
  if (Array.isArray(anyOf)) return anyOf.map((each) => typeOf(recordOf(each))).join(' or ');
  if (type === 'array') return `list of ${typeOf(recordOf(items))}`;
  const values = listOf(schema['enum']).map((value) => `<code>${escaped(JSON.stringify(value))}</code>`);
  if (values.length > 0) return values.join(' or ');
  const limits = LIMITS.filter(([key]) => key in schema && Math.abs(Number(schema[key])) < Number.MAX_SAFE_INTEGER);
  const said = limits.map(([key, words]) => `${words} ${schema[key]}`);
  if (type === 'object' && 'properties' in schema) said.push(`${Object.keys(recordOf(schema['properties']))}`);
  if (typeof schema['format'] === 'string') said.push(schema['format']);
  else if (typeof pattern === 'string') said.push(pattern);
  return escaped([[type ?? 'anything'].flat().join(' or '), ...said].join(', '));
}

const LIMITS = [
  ['minimum', 'from'],
  ['maximum', 'to'],
  ['minLength', 'at least'],
  ['maxLength', 'at most'],
] as const;

const idOf = ({ method, path }: Operation): string => escaped(`${method}${path}`.replaceAll(/[^A-Za-z0-9]+/g, '-'));
const nameOf = ({ method, path }: Operation): string => `<code><b>${method}</b> ${escaped(path)}</code>`;
const row = (name: string, kind: string, type: string, text: unknown): string =>
  `<tr><th scope="row"><code>${escaped(name)}</code><small>${escaped(kind)}</small></th><td>${type}</td><td>${escaped(text)}</td></tr>`;
const table = (title: string, rows: readonly string[]): string =>
  `${title && `<h3>${title}</h3>`}<table><tbody>${rows.join('')}</tbody></table>`;

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);
const escaped = (text: unknown): string => `${text ?? ''}`.replaceAll(/[&<>"']/g, (sign) => ENTITIES.get(sign) ?? '');

export const PAGE_STYLE = `
:root{color-scheme:light dark;--line:light-dark(#d5d9de,#3a4048);--soft:light-dark(#5b6570,#9aa5b1);--link:light-dark(#0b5cad,#7db8f5)}
*{box-sizing:border-box}body{margin:0 auto;max-width:62rem;padding:1.5rem 1rem 4rem;font:16px/1.5 system-ui,sans-serif;
background:light-dark(#fff,#15181c);color:light-dark(#1b1f24,#e4e8ec);overflow-wrap:anywhere}
h1{margin:0}h1 small,em,th small{color:var(--soft);font-weight:400}h2{margin:3rem 0 .25rem;font-size:1.15rem}h3{margin:1.5rem 0 .25rem;font-size:1rem}
a{color:var(--link)}code{font:.9em ui-monospace,monospace}nav ul{list-style:none;padding:0}nav li{margin:.25rem 0}
table{width:100%;border-collapse:collapse}th,td{padding:.4rem .75rem .4rem 0;border-top:1px solid var(--line);text-align:left;vertical-align:top}
th{width:13rem;font-weight:600}th small{display:block}td:nth-of-type(1){width:38%}
@media(max-width:40rem){tr{display:block;border-top:1px solid var(--line);padding:.5rem 0}th,td,td:nth-of-type(1){display:block;width:auto;border:0;padding:.1rem 0}td:empty{display:none}}
`;
