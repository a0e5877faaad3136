/** Base of all errors of this lab. */
export class TracingError extends Error {
  override readonly name: string = 'TracingError';
}

/** An argument from which nothing can be made; the message has the value. */
export class InvalidArgumentError extends TracingError {
  override readonly name = 'InvalidArgumentError';
}

/** This process has a tracer already; two would each see half of the spans. */
export class AlreadyStartedError extends TracingError {
  override readonly name = 'AlreadyStartedError';
}

/** Modules that were to be traced and are not: their spans would be missing, and nothing would say so. */
export class NotPatchedError extends TracingError {
  override readonly name = 'NotPatchedError';
  readonly modules: readonly string[];

  constructor(modules: readonly string[]) {
    super(
      `No span would ever come from ${modules.join(', ')}: loaded before start(), without the ESM hook, or in a version ` +
        'that its instrumentation does not know. Call start() in a file of its own, with `node --import ./that-file.ts`.',
    );
    this.modules = [...modules];
  }
}
