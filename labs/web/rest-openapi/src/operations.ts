import querystring from 'node:querystring';
import { inspect } from 'node:util';

/** A JSON Schema as it stands in a contract. */
export type Schema = Readonly<Record<string, unknown>>;
/** An OpenAPI 3.1 document. */
export type Contract = object;

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header' | 'cookie';
  readonly required: boolean;
  readonly description: string;
  readonly schema: Schema;
}

export interface Answered {
  readonly description: string;
  readonly headers: readonly string[];
  /** By content type, without its parameters; empty where there is no body. */
  readonly content: ReadonlyMap<string, Schema>;
}

export interface Operation {
  /** Upper case. */
  readonly method: string;
  readonly path: string;
  readonly summary: string;
  readonly parameters: readonly Parameter[];
  readonly body: { readonly required: boolean; readonly schema: Schema } | undefined;
  /** Whether nobody gets in without a token. */
  readonly secured: boolean;
  /** By status, as it is written: `200`, `4XX`, `default`. */
  readonly responses: ReadonlyMap<string, Answered>;
}

/** It is no OpenAPI, or has something in it that is not read here. */
export class ContractError extends Error {
  override readonly name = 'ContractError';
}

const METHODS = ['get', 'put', 'post', 'delete', 'patch'];

/** What a contract promises, with its JSON bodies, one entry a method and path. @throws ContractError */
export function operationsOf(contract: Contract): Operation[] {
  const paths = isRecord(contract) && contract['paths'];
  if (!isRecord(paths))
    throw new ContractError(`${inspect(contract, { depth: 0 })} has no paths: give an OpenAPI document.`);
  const follow = (given: unknown) => deref(contract, recordOf(given));
  return Object.entries(paths).flatMap(([path, found]) => {
    const item = follow(found);
    return METHODS.filter((method) => Object.hasOwn(item, method)).map((method) => {
      const given = recordOf(item[method]);
      const parameters = [...listOf(item['parameters']), ...listOf(given['parameters'])]
        .flatMap((each) => parameterOf(follow(each)))
        // The operation's own stand for those of its path.
        .filter(
          (each, n, all) => n === all.findLastIndex(({ name, in: place }) => name === each.name && place === each.in),
        );
      const security = listOf(given['security'] ?? recordOf(contract)['security']);
      return {
        method: method.toUpperCase(),
        path,
        summary: `${given['summary'] ?? ''}`,
        parameters,
        body: bodyOf(follow(given['requestBody'])),
        secured: security.length > 0 && security.every((each) => Object.keys(recordOf(each)).length > 0),
        responses: new Map(
          Object.entries(recordOf(given['responses'])).map(([status, response]) => [
            status,
            answeredOf(follow(response)),
          ]),
        ),
      };
    });
  });
}

function parameterOf(given: Schema): Parameter[] {
  const place = given['in'];
  if (place !== 'path' && place !== 'query' && place !== 'header' && place !== 'cookie') return [];
  const example = Object.hasOwn(given, 'example') ? { examples: [given['example']] } : {};
  const schema = { ...example, ...recordOf(given['schema']) };
  const description = `${given['description'] ?? ''}`;
  return [{ name: `${given['name']}`, in: place, required: given['required'] === true, description, schema }];
}

function bodyOf(given: unknown): Operation['body'] {
  const schema = isRecord(given) && contentOf(given).get('application/json');
  return schema ? { required: recordOf(given)['required'] === true, schema } : undefined;
}

const answeredOf = (given: Schema): Answered => ({
  description: `${given['description'] ?? ''}`,
  headers: Object.keys(recordOf(given['headers'])),
  content: contentOf(given),
});

const contentOf = (given: Schema): ReadonlyMap<string, Schema> =>
  new Map(
    Object.entries(recordOf(given['content'])).map(([type, media]) => [
      mediaTypeOf(type),
      recordOf(recordOf(media)['schema']),
    ]),
  );

export const mediaTypeOf = (contentType: unknown): string =>
  `${contentType ?? ''}`.split(';', 1)[0]?.trim().toLowerCase() ?? '';

/** What a `$ref` into the same contract stands for. @throws ContractError */
export function deref(contract: Contract, schema: Schema): Schema {
  const passed = new Set<string>();
  let at = schema;
  for (let ref = at['$ref']; typeof ref === 'string'; ref = at['$ref']) {
    const found = ref.startsWith('#/') && !passed.has(ref) ? pointed(contract, ref) : undefined;
    if (!isRecord(found)) throw new ContractError(`${ref} leads nowhere in this contract.`);
    passed.add(ref);
    at = found;
  }
  return at;
}

/** A JSON pointer as a URI fragment: RFC 6901 §6. */
const pointed = (contract: Contract, ref: string): unknown =>
  ref
    .slice(2)
    .split('/')
    .map((step) => querystring.unescape(step).replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>(
      (at, step) => (at instanceof Object && Object.hasOwn(at, step) ? Reflect.get(at, step) : undefined),
      contract,
    );

/** A schema without `$ref`, and with its `allOf` in it: the fields of all; else the last one's word. @throws ContractError */
export function merged(contract: Contract, given: Schema, within: readonly Schema[] = []): Schema {
  const schema = deref(contract, given);
  const { allOf, ...own } = schema;
  if (!Array.isArray(allOf)) return schema;
  if (within.includes(schema)) throw new ContractError('A schema is a part of itself, by allOf.');
  const parts = [...allOf.map((each) => merged(contract, recordOf(each), [...within, schema])), own];
  const properties: Schema = Object.assign({}, ...parts.map((each) => recordOf(each['properties'])));
  return { ...Object.assign({}, ...parts), properties, required: parts.flatMap((each) => listOf(each['required'])) };
}

/** What is promised for a status: by its number, by its class, or by `default`. */
export const promised = ({ responses }: Operation, status: number): Answered | undefined =>
  responses.get(`${status}`) ?? responses.get(`${Math.trunc(status / 100)}XX`) ?? responses.get('default');

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const recordOf = (value: unknown): Readonly<Record<string, unknown>> => (isRecord(value) ? value : {});
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
