import type { Document } from 'mongodb';
import { InvalidArgumentError } from './errors.ts';

/** Names of top-level fields, checked. @throws InvalidArgumentError for what is none */
export function fieldNames(fields: readonly string[]): readonly string[] {
  if (!Array.isArray(fields)) throw new InvalidArgumentError('touching is no list of fields.');
  if (fields.length === 0) throw new InvalidArgumentError('touching is empty: leave it out to follow all changes.');
  for (const field of fields) {
    if (
      typeof field !== 'string' ||
      field === '' ||
      field.startsWith('$') ||
      /[.\0]/.test(field) ||
      !field.isWellFormed()
    )
      throw new InvalidArgumentError(`touching names ${JSON.stringify(field)}, which is no top-level field.`);
  }
  return fields;
}

/**
 * The pipeline that lets through what can matter to whoever reads these fields: all but the updates that touch none of
 * them. It asks what was touched, not what the document is: who leaves a state is as much news as who enters it.
 */
export function changesTouching(fields: readonly string[]): Document[] {
  const names = fieldNames(fields);
  const list = (value: unknown) => ({ $ifNull: [value, []] });
  const updated = { $objectToArray: { $ifNull: ['$updateDescription.updatedFields', {}] } };
  const paths = {
    $concatArrays: [
      { $map: { input: updated, in: '$$this.k' } },
      list('$updateDescription.removedFields'),
      { $map: { input: list('$updateDescription.truncatedArrays'), in: '$$this.field' } },
    ],
  };
  // "items.1.count" touches "items".
  const touched = { $in: [{ $first: { $split: ['$$path', '.'] } }, names] };
  const any = { $anyElementTrue: [{ $map: { input: paths, as: 'path', in: touched } }] };
  return [{ $match: { $or: [{ operationType: { $ne: 'update' } }, { $expr: any }] } }];
}
