import {
  type KubernetesObject,
  PatchStrategy,
  type V1ManagedFieldsEntry,
  type V1ObjectMeta,
} from '@kubernetes/client-node';
import { type Cluster, type Named, statusOf } from './cluster.ts';
import { ForeignObjectError, StaleFenceError } from './errors.ts';

/** What a controller wants to be there: an object with a name, and everything that it has an opinion on. */
export type Desired = KubernetesObject & Named;

export interface Author {
  /** In `managedFields`: what this author wrote before and now leaves out is removed, what others wrote stays. */
  readonly manager: string;
  /** Grows with each leader: `Term.fence`. */
  readonly fence: bigint;
  /** The object that asks for what is written, and takes it along when it goes. */
  readonly owner: Named & { readonly metadata: { readonly uid?: string } };
}

/** Under this annotation an object says which leader wrote it last. */
export const FENCE = 'harbour.labs/fence';

/**
 * Brings an object to what `desired` says, whatever it is now: made where it isn't there, put right where it differs, left
 * alone where it's right. Whoever was paused between reading and writing is refused: the object has another version by then.
 *
 * @returns whether the API server has anything new now
 * @throws StaleFenceError when a newer leader has written it
 * @throws ForeignObjectError when it has another owner, or none
 * @throws ApiException with code 409 when it has changed since it was read: reconcile again
 */
export async function applyFenced(
  cluster: Cluster,
  desired: Desired,
  author: Author,
): Promise<'changed' | 'unchanged'> {
  const { manager } = author;
  const found = await cluster.find(desired);
  if (found !== undefined) admit(found, desired, author);
  const live = found ?? (await cluster.create(stamped(desired, author), undefined, undefined, manager));
  const version = await own(cluster, live, desired, manager);
  const wanted = stamped(desired, author, version);
  const written = await cluster.patch(wanted, undefined, undefined, manager, true, PatchStrategy.ServerSideApply);
  return written.metadata?.resourceVersion === found?.metadata?.resourceVersion ? 'unchanged' : 'changed';
}

/**
 * To `managedFields` whoever creates and whoever applies are two, even under one name, and a field that one of the two still has is
 * not removed: so what we created, or wrote in another way, counts as applied.
 * @returns the version of the object then
 */
export async function own(
  cluster: Cluster,
  live: KubernetesObject,
  desired: Named,
  manager: string,
): Promise<string | undefined> {
  const { managedFields = [], resourceVersion } = live.metadata ?? {};
  const {
    apiVersion,
    kind,
    metadata: { name, namespace },
  } = desired;
  const isOurs = (field: V1ManagedFieldsEntry) => field.manager === manager && field.subresource === undefined;
  const ours = managedFields.filter(isOurs);
  const [one] = ours;
  if (one === undefined || ours.every(({ operation }) => operation === 'Apply')) return resourceVersion;
  const fieldsV1 = ours.map((field) => field.fieldsV1).reduce(union);
  const fields = [...managedFields.filter((field) => !isOurs(field)), { ...one, operation: 'Apply', fieldsV1 }];
  const version = resourceVersion === undefined ? {} : { resourceVersion };
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }), ...version, managedFields: fields };
  const owned = await cluster.patch(
    { apiVersion, kind, metadata },
    undefined,
    undefined,
    manager,
    undefined,
    PatchStrategy.MergePatch,
  );
  return owned.metadata?.resourceVersion;
}

const union = (a: object = {}, b: object = {}): object => {
  const fields = new Map<string, object>(Object.entries(a));
  for (const [step, inside] of Object.entries(b)) fields.set(step, union(fields.get(step), inside));
  return Object.fromEntries(fields);
};

/** @throws StaleFenceError, ForeignObjectError */
export function admit(live: KubernetesObject, { kind, metadata: { name } }: Named, { fence, owner }: Author): void {
  const note = live.metadata?.annotations?.[FENCE] ?? '';
  // What somebody has scribbled there is no leader's.
  const seen = /^\d+$/.test(note) ? BigInt(note) : 0n;
  if (seen > fence) {
    throw new StaleFenceError(
      `${kind} ${name} was written by leader ${note.slice(0, 30)}, and this is leader ${fence}: stop`,
    );
  }
  if (live.metadata?.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid) !== true) {
    throw new ForeignObjectError(`${kind} ${name} is there, and ${owner.kind} ${owner.metadata.name} does not own it`);
  }
}

/** As it shall be written: with the leader's number, its owner, and the version that was read, if there was one. */
export function stamped(desired: Desired, { fence, owner }: Author, resourceVersion?: string): Desired {
  const { apiVersion, kind, metadata } = owner;
  const given: V1ObjectMeta = desired.metadata;
  const reference = { apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true };
  return {
    ...desired,
    metadata: {
      ...given,
      ...desired.metadata,
      annotations: { ...given.annotations, [FENCE]: String(fence) },
      ownerReferences: [reference],
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
  };
}

/** Whether the API server has refused a write for what somebody else wrote meanwhile. */
export const isConflict = (error: unknown): boolean => statusOf(error) === 409;
