/** What this package throws; each class below says of what. */
export class CoverageError extends Error {
  override name = 'CoverageError';
}

/** An argument that no figure can be made from. */
export class InvalidArgumentError extends CoverageError {
  override name = 'InvalidArgumentError';
}

/** A text that isn't what it should be, and where. */
export class UnreadableError extends CoverageError {
  override name = 'UnreadableError';
  /** The line in the text, from 1; undefined when it is the whole of it. */
  readonly line: number | undefined;

  constructor(what: string, line?: number, options?: ErrorOptions) {
    super(line === undefined ? what : `line ${line}: ${what}`, options);
    this.line = line;
  }
}

export class LcovError extends UnreadableError {
  override name = 'LcovError';
}

export class DiffError extends UnreadableError {
  override name = 'DiffError';
}

export class FloorError extends UnreadableError {
  override name = 'FloorError';
}

export class MutationReportError extends UnreadableError {
  override name = 'MutationReportError';
}

/** What a message quotes of a foreign text: its beginning, as it would stand in code. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);
}
