/** A JSON document that is changed at paths. */
export interface Edit {
  get(...path: string[]): unknown;
  set(value: unknown, ...path: string[]): void;
  drop(...path: string[]): void;
  push(value: unknown, ...path: string[]): void;
  /** Takes a text out of a list. */
  pull(value: string, ...path: string[]): void;
}

/** A copy of `document`, changed. */
export function changed(document: object, change: (edit: Edit) => void): object {
  const copy: unknown = JSON.parse(JSON.stringify(document));
  const get = (...path: string[]): unknown => path.reduce<unknown>((at, step) => objectOf(at)[step], copy);
  const list = (path: readonly string[]): unknown[] => {
    const found = get(...path);
    if (!Array.isArray(found)) throw new TypeError(`${path} is no list`);
    return found;
  };
  change({
    get,
    set: (value, ...path) => {
      objectOf(get(...path.slice(0, -1)))[path.at(-1) ?? ''] = value;
    },
    drop: (...path) => {
      if (!Reflect.has(objectOf(get(...path.slice(0, -1))), path.at(-1) ?? '')) throw new TypeError(`no ${path}`);
      delete objectOf(get(...path.slice(0, -1)))[path.at(-1) ?? ''];
    },
    push: (value, ...path) => void list(path).push(value),
    pull: (value, ...path) => void list(path).splice(list(path).indexOf(value), 1),
  });
  return objectOf(copy);
}

function objectOf(value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw new TypeError(`${value} is no object`);
  return value;
}
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
