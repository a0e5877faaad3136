// Flaw: the message is built anew from the fields that this program knows: what a newer one wrote is dropped on its way.
// Seen in: https://github.com/protocolbuffers/protobuf/issues/272
// Caught by: what a newer program wrote survives a hop that does not know it
import { create, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import type { amend as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const amend: typeof reference = <Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  changes: Partial<Omit<MessageShape<Desc>, '$typeName' | '$unknown'>>,
): MessageShape<Desc> => {
  const known = schema.fields.map(({ localName }) => [localName, Reflect.get(message, localName)]);
  return Object.assign(create(schema), Object.fromEntries(known), changes);
};
