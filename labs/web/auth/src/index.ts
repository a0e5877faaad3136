export { readCookie, setCookie } from './cookies.ts';
export {
  AuthError,
  InvalidArgumentError,
  KeysUnavailableError,
  LoginRefusedError,
  MalformedRequestError,
  RefreshRefusedError,
  type Refusal,
  ScopeMissingError,
  StoreUnavailableError,
  TokenMissingError,
  TokenRefusedError,
} from './errors.ts';
export { type Access, accessTokenGuard, type Guard, type GuardOptions, requireScope } from './guard.ts';
export { KeySet, type KeySetOptions } from './keys.ts';
export { type Begun, type LoggedIn, type LoginOptions, localPath, PkceLogin } from './login.ts';
export { type Refreshed, type RefreshOptions, RefreshTokens } from './refresh.ts';
export { Sessions, type SessionsOptions } from './sessions.ts';
export { type Locks, singleFlight } from './single-flight.ts';
export { SCHEMA, sweep } from './store.ts';
