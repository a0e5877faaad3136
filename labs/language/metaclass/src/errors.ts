/** Every error of this lab. All but `FinalClassError` and `ReentrantSingletonError` come while a class is made. */
export abstract class MetaclassError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** An argument that nothing can be made from. */
export class InvalidArgumentError extends MetaclassError {}

/** The metas of two bases are unrelated, so there is no one meta that could make their subclass. */
export class MetaConflictError extends MetaclassError {
  constructor(name: string, base: string) {
    super(
      `${name} can't be made: the meta of its base ${base} and the meta chosen so far are unrelated. ` +
        'Pass a meta that extends both: derive(metaOf(base), …).',
    );
  }
}

/** A step of a meta returned what the next step can't use. */
export class InvalidStepError extends MetaclassError {}

/** One class body defines a member twice. JavaScript itself would keep the last one, silently. */
export class DuplicateMemberError extends MetaclassError {
  constructor(owner: string, member: string) {
    super(`${owner}.${member} is defined twice: the first definition would be lost. Rename one of them.`);
  }
}

/** A renamed member would take the name of another. Nothing has been renamed. */
export class PrefixCollisionError extends MetaclassError {
  constructor(owner: string, from: string, to: string) {
    super(`${owner}.${from} would become ${to}, which ${owner} has already. Rename one of them, or change the prefix.`);
  }
}

/** One way in which a class breaks an interface. */
export interface Fault {
  readonly member: string;
  readonly kind: 'missing' | 'not callable' | 'arity' | 'async' | 'static';
  /** The end of a sentence that begins with the member's name. */
  readonly what: string;
}

/** A class breaks its interface; `faults` has all the ways, not only the first. */
export class InterfaceError extends MetaclassError {
  readonly faults: readonly Fault[];

  constructor(owner: string, spec: string, faults: readonly Fault[]) {
    super(`${owner} is no ${spec}: ${faults.map(({ member, what }) => `${member} ${what}`).join('; ')}.`);
    this.faults = faults;
  }
}

/** A subclass of a final class. */
export class FinalClassError extends MetaclassError {
  constructor(name: string) {
    super(`${name} is final: hold an instance of it instead of extending it.`);
  }
}

/** The constructor of a singleton asked for the singleton, which isn't there yet. */
export class ReentrantSingletonError extends MetaclassError {
  constructor(name: string) {
    super(`The constructor of ${name} asks for ${name}, which is being constructed: pass \`this\` on instead.`);
  }
}

/** The class has no place in this registry: it is the abstract base itself, or doesn't extend it. */
export class NotRegistrableError extends MetaclassError {}

/** Two classes want one key. */
export class DuplicateKeyError extends MetaclassError {
  constructor(key: string, taken: string, rival: string) {
    super(
      `The key "${key}" belongs to ${taken}; ${rival} can't have it too. Choose another key. If they are two ` +
        'evaluations of one module, pass import.meta.url to register.',
    );
  }
}

/** Nothing is registered under this key. */
export class UnknownKeyError extends MetaclassError {
  constructor(key: string, known: readonly string[]) {
    super(`Nothing is registered under "${key}". Known keys: ${known.join(', ') || 'none'}.`);
  }
}
