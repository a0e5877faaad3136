import { assertClass, type Class, type Decorate, findMember, whenComplete } from './class.ts';
import { type Fault, InterfaceError } from './errors.ts';

export interface MethodSpec {
  /** How many arguments callers pass. Default: not checked. */
  readonly args?: number;
  /**
   * `sync`: callers use the result at once, so a method declared `async` is a fault, since a promise is always truthy.
   * `async`: callers await it; a plain function may return a promise, or a value, and both can be awaited. A generator
   * fits neither. Default: not checked.
   */
  readonly kind?: 'sync' | 'async';
}

export interface InterfaceSpec {
  readonly name: string;
  /** Methods that instances must have, own or inherited; what all objects have (`toString`) doesn't count. */
  readonly methods: Readonly<Record<string, MethodSpec>>;
  /**
   * Static members, own or inherited, with what `typeof` must say of each; null is no object, and what all functions
   * have (`apply`) doesn't count. Default: none.
   */
  readonly statics?: Readonly<Record<string, 'string' | 'number' | 'boolean' | 'object' | 'function'>>;
}

/**
 * All the ways in which `cls` breaks `spec`; empty when it keeps it. No method, no getter of an instance is run.
 *
 * What can't be seen without an instance can't be checked: a method kept in a field (`refund = () => …`) counts as
 * missing. `length` counts the parameters before the first default or rest, so it is a lower bound: only a method
 * that needs more than callers pass is a fault.
 */
export function faultsOf(cls: Class, spec: InterfaceSpec): Fault[] {
  assertClass(cls);
  const faults: Fault[] = [];
  for (const [member, wanted] of Object.entries(spec.methods)) {
    const found = findMember(cls.prototype, member);
    faults.push(...methodFaults(member, wanted, found));
  }
  for (const [member, type] of Object.entries(spec.statics ?? {})) {
    const value: unknown = findMember(cls, member) && Reflect.get(cls, member);
    const found = value === null ? 'null' : typeof value;
    if (found === type) continue;
    faults.push({
      member,
      kind: 'static',
      what: `must be a static ${type} and is ${value === undefined ? 'missing' : `a ${found}`}`,
    });
  }
  return faults;
}

function methodFaults(member: string, { args, kind }: MethodSpec, found: PropertyDescriptor | undefined): Fault[] {
  if (!found) return [{ member, kind: 'missing', what: 'is missing (a field is too late: write a method)' }];
  if (found.get || found.set) {
    return [
      { member, kind: 'not callable', what: 'is an accessor: what it returns is unknown before there is an instance' },
    ];
  }
  const method: unknown = found.value;
  if (typeof method !== 'function')
    return [{ member, kind: 'not callable', what: `is no method but a ${typeof method}` }];
  const faults: Fault[] = [];
  if (args !== undefined && method.length > args) {
    faults.push({ member, kind: 'arity', what: `needs ${method.length} arguments and is given ${args}` });
  }
  const declared = Object.prototype.toString.call(method).slice('[object '.length, -1);
  if (kind && declared !== 'Function' && !(kind === 'async' && declared === 'AsyncFunction')) {
    faults.push({ member, kind: 'async', what: `must be ${kind} and is declared as ${declared}` });
  }
  return faults;
}

/**
 * Refuses a class that breaks `spec`, when it is made.
 * @throws InterfaceError with all its faults; InvalidArgumentError on what is no class
 */
export function implementing(spec: InterfaceSpec): Decorate {
  return (cls, context) =>
    whenComplete(cls, context, (made) => {
      const faults = faultsOf(made, spec);
      if (faults.length === 0) return;
      throw new InterfaceError(made.name, spec.name, faults);
    });
}
