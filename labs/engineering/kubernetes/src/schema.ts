import * as models from '@kubernetes/client-node';
import type { Deployment } from 'kubernetes-models/apps/v1';
import type { Checks, Report } from './lint.ts';
import { isOfKubernetes, isRecord, type Manifest } from './manifest.ts';

/** As @kubernetes/client-node lists the fields of a type. */
interface Field {
  readonly baseName: string;
  readonly type: string;
}

type Path = readonly (string | number)[];

/**
 * What is wrong with an object by itself: fields that its kind doesn't have, and values that it doesn't take. Kinds that
 * Kubernetes itself doesn't have, as those of custom resources, are not looked at.
 */
export async function faultsOfForm(manifest: Manifest, fields: Checks['fields'], report: Report): Promise<void> {
  const { apiVersion, kind, object } = manifest;
  const version = apiVersion.split('/').at(-1) ?? '';
  const ours = /^[\w./-]+$/.test(apiVersion) && /^\w+$/.test(kind) && isOfKubernetes(apiVersion);
  if (!ours) return;
  const validate = await validatorOf(apiVersion, kind);
  if (validate === undefined)
    return report('value-invalid', manifest, ['kind'], `Kubernetes has no ${kind} in ${apiVersion}`);
  for (const { path, near } of fields(object, `${version.charAt(0).toUpperCase()}${version.slice(1)}${kind}`)) {
    report(
      'field-unknown',
      manifest,
      path,
      `${String(path.at(-1))} is not a field${near === undefined ? '' : `: is it ${near}?`}`,
    );
  }
  for (const { path, message } of validate(object)) report('value-invalid', manifest, path, message);
}

/** Each class of kubernetes-models checks its own objects. */
type Model = Pick<Deployment, 'validate'>;

const isModel = (value: unknown): value is Model => typeof memberOf(value, 'validate') === 'function';

async function validatorOf(apiVersion: string, kind: string) {
  const found: unknown = await import(/* @vite-ignore */ `kubernetes-models/${apiVersion}/${kind}`).catch(
    () => undefined,
  );
  const Class = memberOf(found, kind);
  if (typeof Class !== 'function') return undefined;
  return (object: object): { path: Path; message: string }[] => {
    try {
      const model: unknown = Reflect.construct(Class, [object]);
      if (isModel(model)) model.validate();
      return [];
    } catch (error) {
      return faultsOf(error);
    }
  };
}

const memberOf = (of: unknown, name: string): unknown =>
  typeof of === 'object' && of !== null ? Reflect.get(of, name) : undefined;

function faultsOf(error: unknown): { path: Path; message: string }[] {
  const errors = memberOf(error, 'errors');
  if (!Array.isArray(errors)) return [{ path: [], message: error instanceof Error ? error.message : String(error) }];
  return errors.map((each) => ({
    path: stepsOf(String(memberOf(each, 'instancePath'))),
    message: String(memberOf(each, 'message')),
  }));
}

/** A JSON pointer: `/spec/ports/0`. */
const stepsOf = (pointer: string): Path =>
  pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));

export interface UnknownField {
  readonly path: Path;
  /** One that is spelt alike. */
  readonly near: string | undefined;
}

/** Fields of a value that its type does not have, however deep. */
export function* unknownFields(value: unknown, type: string, path: Path = []): Generator<UnknownField> {
  const list = /^Array<(.+)>$/.exec(type)?.[1];
  if (list !== undefined && Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* unknownFields(item, list, [...path, index]);
  }
  if (!isRecord(value)) return;
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
  const fields = fieldsOf(type);
  for (const [key, item] of Object.entries(value)) {
    const here = [...path, key];
    const field = fields?.find(({ baseName }) => baseName === key);
    if (map !== undefined) yield* unknownFields(item, map, here);
    else if (field !== undefined) yield* unknownFields(item, field.type, here);
    else if (fields !== undefined) yield { path: here, near: nearest(key, fields) };
  }
}

/** The fields of a type of Kubernetes; undefined of what has none: texts, numbers, and objects that may have any field. */
export function fieldsOf(type: string): readonly Field[] | undefined {
  const found: unknown = Object.hasOwn(models, type) ? Reflect.get(models, type) : undefined;
  if (typeof found !== 'function' || !('getAttributeTypeMap' in found)) return undefined;
  const list: unknown = typeof found.getAttributeTypeMap === 'function' ? found.getAttributeTypeMap() : undefined;
  return Array.isArray(list) ? list : undefined;
}

/** The field that begins or ends alike: `livenessProb` is livenessProbe. */
export function nearest(key: string, fields: readonly Field[]): string | undefined {
  const start = key.slice(0, 4).toLowerCase();
  return fields.find(({ baseName }) => baseName.toLowerCase().startsWith(start))?.baseName;
}
