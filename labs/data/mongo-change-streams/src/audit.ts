import { BSON, type Document } from 'mongodb';
import { ImageMissingError } from './errors.ts';
import type { DocumentChange } from './runner.ts';

/** One field of one change. What was not there is undefined. */
export interface FieldChange {
  /** With dots into documents and lists. */
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
}

export interface AuditEntry {
  readonly op: DocumentChange['operationType'];
  readonly key: unknown;
  readonly fields: readonly FieldChange[];
}

/**
 * What a change made of what, from the image before it and its description. The looked-up document has no part in it: it
 * is the document of now. Follow with `before: 'required'`.
 * @throws ImageMissingError when the change has no image from before
 */
export function auditOf(change: DocumentChange): AuditEntry {
  const { operationType: op, documentKey } = change;
  return { op, key: documentKey._id, fields: fieldsOf(change) };
}

function fieldsOf(change: DocumentChange): FieldChange[] {
  if (change.operationType === 'insert') return differences({}, change.fullDocument);
  const before = change.fullDocumentBeforeChange;
  if (!before) throw new ImageMissingError(change.documentKey._id);
  if (change.operationType === 'delete') return differences(before, {});
  if (change.operationType === 'replace') return differences(before, change.fullDocument);
  const { updatedFields = {}, removedFields = [], truncatedArrays = [] } = change.updateDescription;
  const field = (path: string, to: unknown) => ({ field: path, from: readImage(before, path), to });
  return [
    ...Object.entries(updatedFields).map(([path, to]) => field(path, to)),
    ...removedFields.map((path) => field(path, undefined)),
    ...truncatedArrays.map(({ field: path, newSize }) => field(`${path}.length`, newSize)),
  ];
}

function differences(from: Document, to: Document): FieldChange[] {
  const names = new Set([...Object.keys(from), ...Object.keys(to)]);
  names.delete('_id');
  return [...names]
    .map((field) => ({ field, from: own(from, field), to: own(to, field) }))
    .filter(({ from: a, to: b }) => Buffer.compare(BSON.serialize({ a }), BSON.serialize({ a: b })) !== 0);
}

/** A name may have dots in it. */
function own(document: Document, field: string): unknown {
  return Object.hasOwn(document, field) ? document[field] : undefined;
}

/** The value at a path of own fields: `items.1.count`, and `items.length`. */
export function readImage(document: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => {
    const isHolder = typeof value === 'object' && value !== null && Object.hasOwn(value, name);
    return isHolder ? Reflect.get(value, name) : undefined;
  }, document);
}
