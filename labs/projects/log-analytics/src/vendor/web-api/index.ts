export { Api, type ApiOptions, type DrainOptions } from './api.ts';
export {
  ClientGoneError,
  DeadlineExceededError,
  DeclarationError,
  DependencyCycleError,
  HttpError,
  MalformedRequestError,
  ResponseInvalidError,
  ScopeOverError,
  ShuttingDownError,
  StillAtWorkError,
  ValidationError,
  WebApiError,
} from './errors.ts';
export { type IntegerRange, type Issue, integer } from './input.ts';
export { type Given, type Route, route, stream } from './route.ts';
export { type Context, type Dependency, type Maker, type Override, override, provide } from './scope.ts';
