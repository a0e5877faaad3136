// Flaw: fields are compared by name, as in JSON: a number that was given away passes, and a new name is an alarm.
// Seen in: https://github.com/bufbuild/protovalidate/pull/315
// Caught by: a change that old programs do not survive is named
import type { DescFile } from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { type BreakingChange, breakingChanges as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function breakingChanges(before: DescFile, after: DescFile): BreakingChange[] {
  const namesOf = (file: DescFile) =>
    [...nestedTypes(file)].flatMap((type) =>
      type.kind === 'message' ? type.fields.map(({ name }) => `${type.typeName}.${name}`) : [],
    );
  const now = new Set(namesOf(after));
  const methods = reference(before, after).filter(({ element }) => element.includes('Service'));
  const lost = namesOf(before).filter((element) => !now.has(element));
  return [...methods, ...lost.map((element) => ({ element, what: 'is gone' }))];
}
