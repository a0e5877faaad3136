import * as legacy from './legacy/index.ts';
import * as standard from './standard/index.ts';

export * from './core/index.ts';
// Two dialects, the same names: a class is written in one of them. For one alone, copy core/ and its folder.
export { legacy, standard };
