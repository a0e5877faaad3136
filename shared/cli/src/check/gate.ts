import type { Lab } from '../labs.ts';
import type { Demos } from './demo-runs.ts';
import type { Gradings } from './gradings.ts';

/** One thing that a gate objects to. */
export interface Finding {
  /** A file, with a line where there is one, relative to the root. */
  readonly where: string;
  readonly what: string;
  /** What to do about it. */
  readonly remedy: string;
  /** A warning is printed, and fails nothing. Default: 'error'. */
  readonly severity?: 'error' | 'warning';
}

export interface Gate {
  readonly name: string;
  /** What would go wrong without it: the end of "this gate is here so that …". */
  readonly why: string;
  /** 'lab': looks at one lab after the other, so that names narrow it. 'repo': looks at all at once; left out for names. */
  readonly scope: 'lab' | 'repo';
  run(context: GateContext): Promise<readonly Finding[]>;
}

export interface GateContext {
  readonly root: string;
  /** The labs to look at. */
  readonly labs: readonly Lab[];
  /** True when `labs` are not all of them. */
  readonly narrowed: boolean;
  readonly demos: Demos;
  readonly gradings: Gradings;
}
