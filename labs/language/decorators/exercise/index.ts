import * as legacy from './legacy.ts';
import * as standard from './standard.ts';

// Given: the errors, in whose name code runs, a router without decorators, and its server.
export {
  type AnyMethod,
  type AsyncMethod,
  BadRequestError,
  type CacheOptions,
  type Clock,
  currentPrincipal,
  DecoratorError,
  ForbiddenError,
  type Handler,
  HttpError,
  type Match,
  type Method,
  MisuseError,
  type Params,
  type Principal,
  type RetryOptions,
  type Route,
  RouteConflictError,
  type RouteRequest,
  Router,
  type RunningServer,
  runAs,
  type ServeOptions,
  serve,
  TimeoutError,
  type Timing,
  UnauthenticatedError,
  UnguardedOverrideError,
} from '../src/core/index.ts';
export { currentSignal } from './ambient.ts';
// The decorators are yours, in two dialects with the same names: standard.ts first, then legacy.ts. What they have in
// common (the wrapping itself) you write once. `h` in `pnpm lab learn decorators` gives a hint.
export { legacy, standard };
