import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { clone, create, createFileRegistry, type DescFile } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  DescriptorProto_ReservedRangeSchema,
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema as FieldSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt';
import { file_shop_v1_shop } from './shop/v1/shop_pb.ts';

const exec = promisify(execFile);
const dir = join(import.meta.dirname, '..');

/** buf, as a product's CI calls it. */
export const buf = (...args: string[]) =>
  exec(process.execPath, [join(dir, 'node_modules/@bufbuild/buf/bin/buf'), ...args], {
    cwd: dir,
    // buf looks for its plugin on PATH.
    env: { ...process.env, PATH: `${join(dir, 'node_modules/.bin')}:${process.env['PATH']}` },
  });

const found = <T>(what: string, value: T | undefined): T => {
  if (value === undefined) throw new Error(`shop.proto has no ${what}`);
  return value;
};
const messageOf = (file: FileDescriptorProto, name: string): DescriptorProto =>
  found(
    name,
    file.messageType.find((each) => each.name === name),
  );
const cents = (file: FileDescriptorProto): FieldDescriptorProto =>
  found(
    'cents',
    messageOf(file, 'GetPriceResponse').field.find((each) => each.name === 'cents'),
  );
const without = (file: FileDescriptorProto, message: string, field: string) => {
  const type = messageOf(file, message);
  type.field = type.field.filter(({ name }) => name !== field);
  return type;
};
const method = (file: FileDescriptorProto, service: string, name: string) => {
  const owner = found(
    service,
    file.service.find((each) => each.name === service),
  );
  return found(
    name,
    owner.method.find((each) => each.name === name),
  );
};

interface Change {
  readonly name: string;
  /** The element that a guard has to name; undefined: an old program survives it. */
  readonly breaks: string | undefined;
  readonly apply: (file: FileDescriptorProto) => unknown;
}

const PRICE = 'shop.v1.GetPriceResponse.cents';

/** What people do to a contract. */
export const changes: readonly Change[] = [
  { name: 'nothing', breaks: undefined, apply: () => {} },
  { name: 'int64 becomes string', breaks: PRICE, apply: (file) => (cents(file).type = Type.STRING) },
  { name: 'int64 becomes sint64', breaks: PRICE, apply: (file) => (cents(file).type = Type.SINT64) },
  { name: 'int64 becomes double', breaks: PRICE, apply: (file) => (cents(file).type = Type.DOUBLE) },
  { name: 'int64 becomes uint64', breaks: undefined, apply: (file) => (cents(file).type = Type.UINT64) },
  { name: 'one becomes many', breaks: PRICE, apply: (file) => (cents(file).label = Label.REPEATED) },
  { name: 'another name', breaks: undefined, apply: (file) => (cents(file).name = 'price_cents') },
  { name: 'a field goes', breaks: PRICE, apply: (file) => without(file, 'GetPriceResponse', 'cents') },
  {
    name: 'a field goes, its number reserved',
    breaks: undefined,
    apply: (file) => {
      const type = without(file, 'GetPriceResponse', 'cents');
      type.reservedRange.push(create(DescriptorProto_ReservedRangeSchema, { start: 2, end: 3 }));
    },
  },
  { name: 'another number', breaks: PRICE, apply: (file) => (cents(file).number = 3) },
  {
    name: 'a field comes',
    breaks: undefined,
    apply: (file) => {
      const type = messageOf(file, 'GetPriceResponse');
      type.field.push({ ...clone(FieldSchema, cents(file)), name: 'currency', jsonName: 'currency', number: 3 });
    },
  },
  {
    name: 'a method goes',
    breaks: 'shop.v1.PriceService.GetPrice',
    apply: (file) => {
      const [, , prices] = file.service;
      if (prices) prices.method = prices.method.filter(({ name }) => name !== 'GetPrice');
    },
  },
  {
    name: 'a method answers with another message',
    breaks: 'shop.v1.PriceService.GetPrice',
    apply: (file) => (method(file, 'PriceService', 'GetPrice').outputType = '.shop.v1.ReserveResponse'),
  },
  {
    name: 'a method becomes a stream',
    breaks: 'shop.v1.PriceService.GetPrice',
    apply: (file) => (method(file, 'PriceService', 'GetPrice').serverStreaming = true),
  },
  {
    name: 'a service goes',
    breaks: 'shop.v1.StockService',
    apply: (file) => (file.service = file.service.filter(({ name }) => name !== 'StockService')),
  },
];

/** shop.proto with another type for the price. */
export function contractWith(type: Type): FileDescriptorProto {
  const proto = clone(FileDescriptorProtoSchema, file_shop_v1_shop.proto);
  cents(proto).type = type;
  return proto;
}

/** shop.proto, and shop.proto after the change. */
export function changed({ apply }: Change): { readonly before: DescFile; readonly after: DescFile } {
  const proto = clone(FileDescriptorProtoSchema, file_shop_v1_shop.proto);
  apply(proto);
  return { before: file_shop_v1_shop, after: built(proto) };
}

export function built(proto: FileDescriptorProto): DescFile {
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [proto] }));
  return found('file', registry.getFile(proto.name));
}

/** More of what people do, in short: before and after, and whether our guard alone objects. */
export const edits: readonly { name: string; before: string; after: string; stricter?: true }[] = [
  { name: 'bytes become a string', before: 'message A{bytes x=1;}', after: 'message A{string x=1;}' },
  { name: 'a string becomes bytes', before: 'message A{string x=1;}', after: 'message A{bytes x=1;}', stricter: true },
  {
    name: 'a map of wider values',
    before: 'message A{map<int32,int32> x=1;}',
    after: 'message A{map<int64,bool> x=1;}',
  },
  { name: 'a map of texts', before: 'message A{map<int32,int32> x=1;}', after: 'message A{map<int32,string> x=1;}' },
  { name: 'another key', before: 'message A{map<string,A> x=1;}', after: 'message A{map<int32,A> x=1;}' },
  {
    name: 'a map of what differs in a capital',
    before: 'message B{} message b{} message A{map<string,B> x=1;}',
    after: 'message B{} message b{} message A{map<string,b> x=1;}',
  },
  { name: 'a range that ends before it', before: 'message A{int32 x=5;}', after: 'message A{reserved 2 to 4;}' },
  { name: 'a range around it', before: 'message A{int32 x=5;}', after: 'message A{reserved 4 to max;}' },
  { name: 'a reserved value stays', before: 'enum E{Z=0;reserved 5;}', after: 'enum E{Z=0;reserved 5;}' },
  {
    name: 'a reserved range narrows',
    before: 'enum E{Z=0;reserved -9 to -5;}',
    after: 'enum E{Z=0;reserved -8 to -5;}',
  },
  { name: 'a message becomes an enum', before: 'message A{int32 x=1;}', after: 'enum A{Z=0;}' },
  { name: 'an enum becomes a message', before: 'enum A{Z=0;ONE=1;}', after: 'message A{}' },
  { name: 'into a oneof', before: 'message A{int32 x=1;}', after: 'message A{oneof o{int32 x=1;}}' },
  {
    name: 'an enum moves',
    before: 'enum E{Z=0;} message A{E x=1;}',
    after: 'message B{enum E{Z=0;}} message A{B.E x=1;}',
    stricter: true,
  },
  {
    name: 'a value has to be there',
    before: 'message A{int32 x=1;}',
    after: 'message A{int32 x=1 [features.field_presence=LEGACY_REQUIRED];}',
  },
  {
    name: 'one more has to be there',
    before: 'message A{}',
    after: 'message A{int32 x=1 [features.field_presence=LEGACY_REQUIRED];}',
    stricter: true,
  },
  {
    name: 'a message becomes a group',
    before: 'message A{A x=1;}',
    after: 'message A{A x=1 [features.message_encoding=DELIMITED];}',
  },
];
