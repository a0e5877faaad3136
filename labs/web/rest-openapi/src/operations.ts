import { inspect } from 'node:util';

/** A JSON Schema as it stands in a contract. */
export type Schema = Readonly<Record<string, unknown>>;
/** An OpenAPI 3.1 document. */
export type Contract = object;

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description: string;
  readonly schema: Schema;
}

export interface Answered {
  readonly description: string;
  readonly headers: readonly string[];
  /** By content type; empty where there is no body. */
  readonly content: ReadonlyMap<string, Schema>;
}

export interface Operation {
  /** Upper case. */
  readonly method: string;
  readonly path: string;
  readonly summary: string;
  readonly parameters: readonly Parameter[];
  readonly body: { readonly required: boolean; readonly schema: Schema } | undefined;
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
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.filter((method) => Object.hasOwn(recordOf(item), method)).map((method) => {
      const given = recordOf(recordOf(item)[method]);
      return {
        method: method.toUpperCase(),
        path,
        summary: `${given['summary'] ?? ''}`,
        parameters: listOf(given['parameters']).flatMap((each) => parameterOf(deref(contract, recordOf(each)))),
        body: bodyOf(given['requestBody']),
        secured: listOf(given['security'] ?? (isRecord(contract) ? contract['security'] : undefined)).length > 0,
        responses: new Map(
          Object.entries(recordOf(given['responses'])).map(([status, response]) => [
            status,
            answeredOf(recordOf(response)),
          ]),
        ),
      };
    }),
  );
}

function parameterOf(given: Schema): Parameter[] {
  const place = given['in'];
  if (place !== 'path' && place !== 'query' && place !== 'header') return [];
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
    Object.entries(recordOf(given['content'])).map(([type, media]) => [type, recordOf(recordOf(media)['schema'])]),
  );

/** What a `$ref` into the same contract stands for. @throws ContractError */
export function deref(contract: Contract, schema: Schema): Schema {
  const ref = schema['$ref'];
  if (typeof ref !== 'string') return schema;
  const steps = ref
    .replace(/^#\//, '')
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const found = steps.reduce<unknown>(
    (at, step) => (isRecord(at) && Object.hasOwn(at, step) ? at[step] : undefined),
    contract,
  );
  if (!ref.startsWith('#/') || !isRecord(found)) throw new ContractError(`${ref} leads nowhere in this contract.`);
  return deref(contract, found);
}

/** What is promised for a status: by its number, by its class, or by `default`. */
export const promised = ({ responses }: Operation, status: number): Answered | undefined =>
  responses.get(`${status}`) ?? responses.get(`${Math.trunc(status / 100)}XX`) ?? responses.get('default');

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const recordOf = (value: unknown): Readonly<Record<string, unknown>> => (isRecord(value) ? value : {});
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
