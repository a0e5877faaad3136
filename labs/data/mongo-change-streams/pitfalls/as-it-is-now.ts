// Flaw: an audit from the looked-up document: three changes that are read late are the last one, three times.
// Seen in: https://github.com/meteor/meteor/pull/13787
// Caught by: an audit says of each change what it made of what
import { type AuditEntry, type DocumentChange, readImage, auditOf as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function auditOf(change: DocumentChange): AuditEntry {
  const entry = reference(change);
  if (change.operationType !== 'update') return entry;
  return { ...entry, fields: entry.fields.map((it) => ({ ...it, to: readImage(change.fullDocument, it.field) })) };
}
