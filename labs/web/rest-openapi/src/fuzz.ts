import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { nameOf } from './diff.ts';
import {
  type Contract,
  ContractError,
  isRecord,
  mediaTypeOf,
  type Operation,
  operationsOf,
  promised,
  type Schema,
} from './operations.ts';
import { HOSTILE, isWritten, Maker } from './samples.ts';

export interface FuzzRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface FuzzAnswer {
  readonly status: number;
  /** Lower case names. */
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** What is asked of an answer. */
export interface Exchange {
  readonly operation: Operation;
  readonly request: FuzzRequest;
  /** By its contract the request is fine; whether there is such a book is another matter. */
  readonly isAllowed: boolean;
  readonly answer: FuzzAnswer;
  /** Why `value` isn't what `schema` says; undefined when it is. */
  readonly mismatch: (schema: Schema, value: unknown) => string | undefined;
}

export interface Finding {
  /** `POST /orders`. */
  readonly operation: string;
  readonly what: string;
  /** The first request that showed it. */
  readonly request: FuzzRequest;
  times: number;
}

export interface FuzzReport {
  readonly sent: number;
  /** By operation: which statuses came. */
  readonly statuses: ReadonlyMap<string, ReadonlySet<number>>;
  readonly findings: readonly Finding[];
}

export interface FuzzOptions {
  readonly contract: Contract;
  readonly send: (request: FuzzRequest) => Promise<FuzzAnswer>;
  /** Sent to operations that ask for a token. */
  readonly credentials?: Readonly<Record<string, string>>;
  /** How often each operation is called, from 1. Default 100. */
  readonly runs?: number;
  /** Default 1: the same seed, the same requests, as long as the answers are the same. */
  readonly seed?: number;
  /** Ends it between two requests; give it to `send` as well, which may wait for an answer. */
  readonly signal?: AbortSignal;
  /** What is wrong with an answer. Default: `judge` of this file. */
  readonly judge?: (exchange: Exchange) => string | undefined;
}

/**
 * Takes an API at its word, as Schemathesis does (https://schemathesis.readthedocs.io): calls each operation with what its
 * contract allows, and with what it forbids, and judges each answer by the contract. What answers have given (ids, ETags,
 * cursors) is used in later requests, by its name. Give it an API whose data nobody needs. A pattern that backtracks for ever
 * keeps it busy for ever, as it would the API.
 * @throws ContractError for a contract that no request can be made from; RangeError for `runs`; the signal's reason
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { contract, send, credentials = {}, runs = 100, seed = 1, signal, judge: verdictOf = judge } = options;
  if (!(Number.isSafeInteger(runs) && runs >= 1)) throw new RangeError(`runs is ${runs}: give a whole number from 1.`);
  const maker = new Maker(contract, seed);
  const mismatch = validatorOf(contract);
  const statuses = new Map<string, Set<number>>();
  const findings = new Map<string, Finding>();
  let sent = 0;
  const operations = operationsOf(contract);
  if (operations.length === 0) throw new ContractError('The contract has no operations: there is nothing to call.');
  for (let run = 0; run < runs; run++) {
    for (const operation of operations) {
      signal?.throwIfAborted();
      const { request, isAllowed } = make(operation, maker, mismatch, credentials);
      sent++;
      const name = nameOf(operation);
      let what: string | undefined;
      try {
        const answer = await send(request);
        statuses.set(name, (statuses.get(name) ?? new Set()).add(answer.status));
        what = verdictOf({ operation, request, isAllowed, answer, mismatch });
        if (answer.status < 300) maker.learn(answer);
      } catch (error) {
        what = `no answer: ${error}`;
      }
      if (what === undefined) continue;
      const known = findings.get(`${name} ${what}`);
      if (known) known.times++;
      else findings.set(`${name} ${what}`, { operation: name, what, request, times: 1 });
    }
  }
  return { sent, statuses, findings: [...findings.values()] };
}

/** The first of the promises that this answer breaks. */
export function judge({ operation, isAllowed, answer, mismatch }: Exchange): string | undefined {
  const { status, headers, body } = answer;
  if (status >= 500) return `${status}: it failed`;
  const documented = promised(operation, status);
  if (!documented) return `${status}: undocumented`;
  if (status < 300 && !isAllowed) return `${status}: takes what the contract forbids`;
  if (documented.content.size === 0) return body === '' ? undefined : `${status}: a body where none is documented`;
  const type = mediaTypeOf(headers['content-type']);
  const schema = documented.content.get(type);
  if (!schema) return `${status}: is ${type || 'of no type'}, which is undocumented`;
  const why = mismatch(schema, parsed(body));
  return why && `${status}: ${why}`;
}

/** The JSON, or undefined for what is none. */
export function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function validatorOf(contract: Contract): Exchange['mismatch'] {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false });
  const compiled = new Map<Schema, ValidateFunction>();
  const components = isRecord(contract) ? contract['components'] : undefined;
  const compile = (schema: Schema): ValidateFunction => {
    try {
      return ajv.compile({ ...schema, components });
    } catch (cause) {
      throw new ContractError(`A schema makes no sense: ${cause}`, { cause });
    }
  };
  return (schema, value) => {
    const validate = compiled.get(schema) ?? compile(schema);
    compiled.set(schema, validate);
    if (validate(value)) return undefined;
    const [first] = validate.errors ?? [];
    return `${first?.instancePath || 'the body'} ${first?.message}`;
  };
}

type Made = { readonly request: FuzzRequest; readonly isAllowed: boolean };

/** One in three is as the contract asks; of the others one part is spoilt. */
function make(
  operation: Operation,
  maker: Maker,
  mismatch: Exchange['mismatch'],
  credentials: FuzzRequest['headers'],
): Made {
  const { parameters, body } = operation;
  const places = [...parameters, ...(body ? ['body' as const, 'body' as const] : [])];
  const spoilt = places.length > 0 && maker.chance(2 / 3) ? maker.pick(places) : undefined;
  const headers: Record<string, string> = { ...(operation.secured && credentials) };
  const query = new URLSearchParams();
  let path = operation.path;
  let isAllowed = true;
  for (const parameter of parameters) {
    const { name, schema, required } = parameter;
    const isSpoilt = parameter === spoilt;
    if (!required && !isSpoilt && maker.chance(1 / 2)) continue;
    if (isSpoilt && parameter.in !== 'path' && maker.chance(1 / 3)) {
      isAllowed &&= !required;
      continue;
    }
    const text = isSpoilt ? maker.pick(HOSTILE) : `${maker.value(name, schema)}`;
    const sent =
      parameter.in === 'path' ? text.replace(/^\.*$/, 'x') : parameter.in === 'header' ? asHeader(text) : text;
    isAllowed &&= mismatch(schema, isWritten(schema, sent) ? Number(sent) : sent) === undefined;
    if (parameter.in === 'path') path = path.replace(`{${name}}`, encodeURIComponent(sent.toWellFormed()));
    else if (parameter.in === 'header') headers[name.toLowerCase()] = sent;
    else if (parameter.in === 'cookie') {
      const cookie = `${name}=${encodeURIComponent(sent.toWellFormed())}`;
      headers['cookie'] = headers['cookie'] ? `${headers['cookie']}; ${cookie}` : cookie;
    } else query.append(name, sent.toWellFormed());
  }
  const url = query.size > 0 ? `${path}?${query}` : path;
  if (!body) return { request: { method: operation.method, url, headers }, isAllowed };
  headers['content-type'] = 'application/json';
  const good = maker.value('', body.schema);
  if (spoilt !== 'body')
    return { request: { method: operation.method, url, headers, body: JSON.stringify(good) }, isAllowed };
  const bad = maker.spoil(good);
  const text = maker.chance(1 / 4)
    ? maker.pick(['', '{"a":', 'null', '"x"', `{"__proto__":{}}`, `[${' '.repeat(2e6)}]`])
    : JSON.stringify(bad);
  if (maker.chance(1 / 10)) headers['content-type'] = maker.pick(['text/plain', 'application/xml', 'nonsense']);
  isAllowed &&= headers['content-type'] === 'application/json' && mismatch(body.schema, parsed(text)) === undefined;
  return { request: { method: operation.method, url, headers, body: text }, isAllowed };
}

/** What can stand in a header. */
const asHeader = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '?').trim();
