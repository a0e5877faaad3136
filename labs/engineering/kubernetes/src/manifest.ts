import {
  type Document,
  type DocumentOptions,
  isNode,
  LineCounter,
  type Node,
  type ParseOptions,
  parseAllDocuments,
  type SchemaOptions,
} from 'yaml';
import type { Span, Suppression } from './finding.ts';

/** An object of a file, and where each of its parts stands there. */
export interface Manifest {
  readonly file: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** `default` where none is given. */
  readonly namespace: string;
  readonly object: Readonly<Record<string, unknown>>;
  /** The value at a path; undefined where there is none. */
  at(...path: readonly (string | number)[]): unknown;
  /** Where the value at a path is; of the nearest part above it, where it isn't there. */
  spanOf(path: readonly (string | number)[]): Span;
}

interface Fault {
  readonly span: Span;
  readonly message: string;
}

/** kubectl reads YAML 1.1: `<<` merges, `yes` is no text, 0644 is octal. Dates and base 60 it leaves as texts. */
const AS_KUBECTL: ParseOptions & DocumentOptions & SchemaOptions = {
  version: '1.1',
  stringKeys: true,
  customTags: (tags) =>
    tags.filter((tag) => typeof tag === 'string' || !(tag.tag.endsWith(':timestamp') || tag.format === 'TIME')),
};

/** @returns the objects of a file (a List's items among them), what cannot be read, and the comments that excuse something */
export function readManifests(file: string, text: string) {
  const lines = new LineCounter();
  const manifests: Manifest[] = [];
  const faults: Fault[] = [];
  const spanAt = (from: number, to: number): Span => ({
    start: positionAt(lines, from),
    end: positionAt(lines, Math.max(from + 1, to)),
  });
  for (const document of parseAllDocuments(text, { ...AS_KUBECTL, lineCounter: lines })) {
    if ('empty' in document && document.empty) continue;
    for (const { pos, message } of document.errors)
      faults.push({ span: spanAt(pos[0], pos[1]), message: message.split('\n')[0] ?? '' });
    if (document.errors.length > 0) continue;
    const value = contentOf(document);
    if (value instanceof Error) {
      faults.push({ span: spanAt(0, 1), message: value.message });
      continue;
    }
    const spanOf = (path: readonly (string | number)[]) => {
      const [from, to] = rangeOf(document, path);
      return spanAt(from, to);
    };
    if (value === null) continue;
    for (const [path, item] of itemsOf(value)) {
      if (isForATool(item)) continue;
      const manifest = manifestOf(file, item, (rest) => spanOf([...path, ...rest]));
      if (manifest === undefined)
        faults.push({ span: spanOf(path), message: 'an object has apiVersion, kind and metadata.name' });
      else manifests.push(manifest);
    }
  }
  return { manifests, faults, suppressions: excusesOf(file, text) };
}

const positionAt = (lines: LineCounter, offset: number) => {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
};

/** Aliases that make a file of a kilobyte an object of a gigabyte are refused by the parser, with an error. */
function contentOf(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function itemsOf(value: unknown): [path: (string | number)[], item: unknown][] {
  // A List of Kubernetes has no name; a custom resource whose kind ends alike has one.
  if (!isRecord(value) || !String(value['kind']).endsWith('List') || !('items' in value)) return [[[], value]];
  if (isRecord(value['metadata']) && 'name' in value['metadata']) return [[[], value]];
  return (Array.isArray(value['items']) ? value['items'] : []).map((item: unknown, index) => [['items', index], item]);
}

/** Read by a program, never by the API server: of kustomize, kubeadm and the like, known by a group of its own and no metadata. */
const isForATool = (value: unknown) =>
  isRecord(value) &&
  typeof value['apiVersion'] === 'string' &&
  value['metadata'] === undefined &&
  !isOfKubernetes(value['apiVersion']);

const GROUPS =
  /^(?:admissionregistration|apiextensions|apiregistration|authentication|authorization|certificates|coordination|discovery|events|flowcontrol\.apiserver|internal\.apiserver|networking|node|rbac\.authorization|resource|scheduling|storage|storagemigration)\.k8s\.io\//;

/** Its own groups: apps, batch, policy, autoscaling, and some of those under k8s.io: others there are custom resources. */
export const isOfKubernetes = (apiVersion: string): boolean =>
  !apiVersion.split('/')[0]?.includes('.') || GROUPS.test(apiVersion);

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function manifestOf(file: string, object: unknown, spanOf: Manifest['spanOf']): Manifest | undefined {
  if (!isRecord(object)) return undefined;
  const { apiVersion, kind, metadata } = object;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || !isRecord(metadata)) return undefined;
  const { generateName, name = generateName, namespace = 'default' } = metadata;
  if (typeof name !== 'string' || typeof namespace !== 'string') return undefined;
  return { file, apiVersion, kind, name, namespace, object, spanOf, at: (...path) => partAt(object, path) };
}

function partAt(root: unknown, path: readonly (string | number)[]): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = Object.getOwnPropertyDescriptor(value, step)?.value;
  }
  return value;
}

function rangeOf(document: Document, path: readonly (string | number)[]): readonly [number, number] {
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    const key = keyOf(document, path.slice(0, length));
    const range = (key ?? (isNode(node) ? node : undefined))?.range;
    if (range) return [range[0], range[1]];
  }
  return [0, 1];
}

/** A field is shown by its name. */
function keyOf(document: Document, path: readonly (string | number)[]): Node | undefined {
  const parent: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (typeof parent !== 'object' || parent === null || !('items' in parent) || !Array.isArray(parent.items))
    return undefined;
  const pair: unknown = parent.items.find(
    (item) => isRecord(item) && isRecord(item['key']) && item['key']['value'] === path.at(-1),
  );
  const key = isRecord(pair) ? pair['key'] : undefined;
  return isNode(key) ? key : undefined;
}

const COMMENT = /^(?<before>(?:[^#'"]|"[^"]*"|'[^']*')*?)#\s*lint-ignore\b(?<rest>.*)$/;

/** `# lint-ignore RULE, RULE: reason`: for its own line, or for the next one where it stands alone. */
function excusesOf(file: string, text: string): Suppression[] {
  return text.split(/\r\n|\r|\n/).flatMap((content, index) => {
    const { before, rest } = COMMENT.exec(content)?.groups ?? {};
    if (before === undefined || rest === undefined || /\S$/.test(before)) return [];
    const colon = rest.indexOf(':');
    const named = colon < 0 ? rest : rest.slice(0, colon);
    const line = index + 1;
    const covered = before.trim() === '' ? line + 1 : line;
    return [
      {
        rules: named.split(/[\s,]+/).filter((rule) => rule !== ''),
        reason: colon < 0 ? '' : rest.slice(colon + 1).trim(),
        file,
        span: { start: { line, column: before.length + 1 }, end: { line, column: content.length + 1 } },
        covers: [covered, covered] as const,
      },
    ];
  });
}
