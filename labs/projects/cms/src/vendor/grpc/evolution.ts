import {
  clone,
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  type MessageShape,
  ScalarType,
} from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt';

/** A change that a program with the old contract doesn't survive. */
export interface BreakingChange {
  /** The element's full name: `shop.v1.GetPriceResponse.cents`. */
  readonly element: string;
  /** What the old program would meet. */
  readonly what: string;
}

/**
 * A copy with some fields changed. What the sender knows and we don't (fields of a newer contract) stays in it: who
 * builds a new message from the fields that he knows drops the rest.
 */
export function amend<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  changes: Partial<Omit<MessageShape<Desc>, '$typeName' | '$unknown'>>,
): MessageShape<Desc> {
  return Object.assign(clone(schema, message), changes);
}

/**
 * What in `after` would misread bytes that `before` wrote, or fail calls that it makes: field numbers that change their
 * meaning or may be given away, methods that are gone or differ. Names are free: they aren't sent.
 * A part of the category WIRE of `buf breaking`, and its RPC_NO_DELETE; products run buf itself, on every commit. In three
 * cases buf is milder: a string may become bytes (an old reader refuses those that are no UTF-8), an enum may move to
 * another scope, and a field may come that an edition calls required. What extensions and default values of proto2 become is not compared.
 * Source: https://protobuf.dev/programming-guides/proto3/#updating, https://buf.build/docs/breaking/rules/
 */
export function breakingChanges(before: DescFile, after: DescFile): BreakingChange[] {
  const messages = messagesOf(before, after).flatMap(([old, now]) => ofMessage(old, now));
  return [...messages, ...changedEnums(before, after), ...changedServices(before, after)];
}

/** Each message that both contracts have, in its two versions. */
export function messagesOf(before: DescFile, after: DescFile): (readonly [DescMessage, DescMessage])[] {
  const now = new Map([...nestedTypes(after)].map((type) => [type.typeName, type]));
  return [...nestedTypes(before)].flatMap((old) => {
    const type = now.get(old.typeName);
    return old.kind === 'message' && type?.kind === 'message' ? [[old, type] as const] : [];
  });
}

export function changedEnums(before: DescFile, after: DescFile): BreakingChange[] {
  const now = new Map([...nestedTypes(after)].map((type) => [type.typeName, type]));
  return [...nestedTypes(before)].flatMap((old) => {
    const type = now.get(old.typeName);
    return old.kind === 'enum' && type?.kind === 'enum' ? ofEnum(old, type) : [];
  });
}

export function changedServices(before: DescFile, after: DescFile): BreakingChange[] {
  return before.services.flatMap((old) => {
    const service = after.services.find(({ typeName }) => typeName === old.typeName);
    return service ? ofService(old, service) : [gone(old.typeName)];
  });
}

const gone = (element: string): BreakingChange => ({ element, what: 'is gone: calls end with UNIMPLEMENTED' });

function ofMessage(before: DescMessage, after: DescMessage): BreakingChange[] {
  const fields = new Map(after.fields.map((field) => [field.number, field]));
  const given = givenAway(before.typeName, before.proto.reservedRange, after.proto.reservedRange, 0);
  const changes = before.fields.flatMap((old) => {
    const element = `${before.typeName}.${old.name}`;
    const field = fields.get(old.number);
    if (field) return ofField(element, old, field);
    // Of a reserved range the end is exclusive.
    const reserved = after.proto.reservedRange.some(({ start, end }) => start <= old.number && old.number < end);
    return reserved ? [] : [freed(element, old.number)];
  });
  const numbers = new Set(before.fields.map(({ number }) => number));
  const needed = after.fields
    .filter((field) => isRequired(field) && !numbers.has(field.number))
    .map(({ name }) => ({ element: `${after.typeName}.${name}`, what: 'is required: old programs do not write it' }));
  return [...changes, ...given, ...needed];
}

interface Reserved {
  readonly start: number;
  readonly end: number;
}

/** Numbers that were reserved, and aren't any more: what was written under them is read as something else. */
function givenAway(type: string, before: Reserved[], after: Reserved[], past: 0 | 1): BreakingChange[] {
  return before.flatMap(({ start, end }) => {
    let at = start;
    for (const range of after.toSorted((a, b) => a.start - b.start)) {
      if (range.start <= at && at < range.end + past) at = range.end + past;
    }
    const what = 'was reserved, and is free for another meaning: reserve it';
    return at < end + past ? [{ element: `${type}.${at}`, what }] : [];
  });
}

const freed = (element: string, number: number): BreakingChange => ({
  element,
  what: `is gone, and its number ${number} is free for another meaning: reserve it`,
});

function ofField(element: string, before: DescField, after: DescField): BreakingChange[] {
  const [old, now] = [wireOf(before), wireOf(after)];
  const changes: BreakingChange[] = [];
  if (!old.readAs.includes(now.type)) {
    changes.push({ element, what: `was ${old.type} and is ${now.type}: old readers misread it` });
  }
  if (old.shape !== now.shape) changes.push({ element, what: `was ${old.shape} and is ${now.shape}` });
  if (before.oneof?.name !== after.oneof?.name) {
    changes.push({ element, what: `moved from ${before.oneof?.name ?? 'no oneof'} to ${after.oneof?.name ?? 'none'}` });
  }
  return changes;
}

/** Scalars that are one on the wire: what was written as the one can be read as the other. */
const { INT32, INT64, UINT32, UINT64, BOOL, SINT32, SINT64, FIXED32, SFIXED32, FIXED64, SFIXED64 } = ScalarType;
const alike = [
  [INT32, INT64, UINT32, UINT64, BOOL],
  [SINT32, SINT64],
  [FIXED32, SFIXED32],
  [FIXED64, SFIXED64],
];

const nameOf = (scalar: ScalarType) => ScalarType[scalar].toLowerCase();

const readersOf = (scalar: ScalarType) => {
  const group: ScalarType[] = alike.find((each) => each.includes(scalar)) ?? [scalar];
  return group.map(nameOf);
};

/** A field as it's sent: its shape, its type, and the types that a reader of it can take for it. */
export function wireOf(field: DescField) {
  const named = (field.message ?? field.enum)?.typeName ?? '';
  const group = 'delimitedEncoding' in field && field.delimitedEncoding ? `group ${named}` : named;
  const [type, readAs] =
    field.scalar === undefined ? [group, [group]] : [nameOf(field.scalar), readersOf(field.scalar)];
  if (field.fieldKind === 'map') {
    const pairs = readersOf(field.mapKey).flatMap((key) => readAs.map((value) => `map<${key}, ${value}>`));
    return { shape: 'a map', type: `map<${nameOf(field.mapKey)}, ${type}>`, readAs: pairs };
  }
  if (isRequired(field)) return { shape: 'a required value', type, readAs };
  return { shape: field.fieldKind === 'list' ? 'a list' : 'a single value', type, readAs };
}

const isRequired = ({ presence }: DescField) => presence === FeatureSet_FieldPresence.LEGACY_REQUIRED;

function ofEnum(before: DescEnum, after: DescEnum): BreakingChange[] {
  const numbers = new Set(after.values.map(({ number }) => number));
  // Of an enum's reserved range the end is inclusive.
  const reserved = (number: number) =>
    after.proto.reservedRange.some(({ start, end }) => start <= number && number <= end);
  const given = givenAway(before.typeName, before.proto.reservedRange, after.proto.reservedRange, 1);
  const changes = before.values
    .filter(({ number }) => !numbers.has(number) && !reserved(number))
    .map(({ name, number }) => freed(`${before.typeName}.${name}`, number));
  return [...changes, ...given];
}

function ofService(before: DescService, after: DescService): BreakingChange[] {
  return before.methods.flatMap((old) => {
    const element = `${before.typeName}.${old.name}`;
    const method = after.methods.find(({ name }) => name === old.name);
    if (!method) return [gone(element)];
    const [was, is] = [signatureOf(old), signatureOf(method)];
    return was === is ? [] : [{ element, what: `was ${was} and is ${is}` }];
  });
}

const signatureOf = ({ methodKind, input, output, idempotency }: DescMethod) =>
  `${methodKind} ${input.typeName} → ${output.typeName}, idempotency ${idempotency}`;
