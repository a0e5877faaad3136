import { todo } from './todo.ts';

/** Aborts when the innermost `@timeout` around this code, or one further out, gives up; undefined without any. */
export function currentSignal(): AbortSignal | undefined {
  return todo('currentSignal');
}
