import type { ProblemError } from './errors.ts';

/** RFC 9457, with the errors of single fields as its own example has them. Everything in it comes from outside. */
export interface Problem {
  readonly type: string;
  readonly title?: string;
  readonly detail?: string;
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[];
}

/** What of a JSON value is a problem; what is of another type than it should be, or says nothing, is left out. */
export function readProblem(value: unknown): Problem {
  const body = fieldsOf(value);
  const list: unknown = body.get('errors');
  const errors = (Array.isArray(list) ? list : []).flatMap((each: unknown) => {
    const entry = fieldsOf(each);
    const [pointer, detail] = [entry.get('pointer'), entry.get('detail')];
    return typeof detail === 'string' ? [{ pointer: typeof pointer === 'string' ? pointer : '', detail }] : [];
  });
  const text = (name: 'title' | 'detail') => {
    const found = body.get(name);
    return typeof found === 'string' && found.trim() !== '' ? { [name]: found } : {};
  };
  const type = body.get('type');
  return { type: typeof type === 'string' ? type : 'about:blank', ...text('title'), ...text('detail'), errors };
}

const fieldsOf = (value: unknown): ReadonlyMap<string, unknown> =>
  new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);

/** What a form shows of a refusal. */
export interface FieldErrors {
  /** By the field's name: what stands under it. */
  readonly fields: ReadonlyMap<string, string>;
  /** What belongs to no field of this form: it is shown above it. Nothing that the server says is lost. */
  readonly rest: readonly string[];
}

/**
 * Brings each error of a problem to its field.
 *
 * @param fields the form's fields, by name: the JSON Pointer (RFC 6901) of what is sent for it, `/lines/0/quantity`. The server
 * may write it as a fragment too, `#/lines/0/quantity`, as RFC 9457 does.
 */
export function fieldErrors<Name extends string>(
  { problem }: ProblemError,
  fields: Readonly<Record<Name, string>>,
): FieldErrors {
  const byPointer = new Map(Object.entries<string>(fields).map(([name, pointer]) => [pointer, name]));
  const found = new Map<string, string>();
  const rest: string[] = [];
  for (const { pointer, detail } of problem.errors) {
    const name = byPointer.get(plainPointer(pointer));
    if (name === undefined) rest.push(detail);
    else found.set(name, found.has(name) ? `${found.get(name)} ${detail}` : detail);
  }
  if (found.size === 0 && rest.length === 0)
    rest.push(problem.detail ?? problem.title ?? 'The server has refused this.');
  return { fields: found, rest };
}

function plainPointer(pointer: string): string {
  if (!pointer.startsWith('#')) return pointer;
  try {
    return decodeURIComponent(pointer.slice(1));
  } catch {
    return pointer;
  }
}
