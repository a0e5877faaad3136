import { BadRequestError, MisuseError } from '../core/errors.ts';
import { chain, Notes } from '../core/notes.ts';
import type { RouteRequest } from '../core/router.ts';
import { checkBody, hasFields } from './fields.ts';
import { parameterTypes } from './metadata.ts';

type Source = { readonly kind: 'param'; readonly name: string } | { readonly kind: 'body' };

const sources = new Notes<readonly [parameter: number, source: Source]>();

/**
 * Fills a parameter from the path, as its declared type (`design:paramtypes`): String, Number or Boolean. What doesn't
 * fit is refused with 400, before the method and its guard.
 */
export function param(name: string): ParameterDecorator {
  return note('param', { kind: 'param', name });
}

/** Fills a parameter with the body, checked against the `@field`s of its declared class. */
export function body(): ParameterDecorator {
  return note('body', { kind: 'body' });
}

function note(decorator: string, source: Source): ParameterDecorator {
  return (target, name, index) => {
    if (name === undefined || typeof target === 'function') {
      throw new MisuseError(`@${decorator} belongs on a parameter of an instance's method`);
    }
    sources.add(target, name, [index, source]);
  };
}

/**
 * How to fill the arguments of a routed method from a request.
 *
 * @throws MisuseError where a parameter has a type that says nothing at run time (an interface, a union), isn't in the
 *   path, or is filled by nothing.
 */
export function argumentsOf(
  controller: object,
  name: string | symbol,
  path: string,
  label: string,
): (request: RouteRequest) => unknown[] {
  // An override that notes nothing takes what it overrides takes: the compiler saw to that.
  const owner = chain(controller).find((at) => sources.own(at, name).length > 0);
  if (!owner) return (request) => [request];
  const noted = new Map(sources.own(owner, name));
  const types = parameterTypes(owner, name);
  if (!types) throw new MisuseError(`the types of ${label} are unknown: compile with emitDecoratorMetadata`);
  const fillers = types.map((type, index) => {
    const source = noted.get(index);
    if (!source) throw new MisuseError(`parameter ${index} of ${label} has neither @param nor @body`);
    return source.kind === 'body' ? bodyFiller(type, label) : paramFiller(source.name, type, path, label);
  });
  return (request) => fillers.map((fill) => fill(request));
}

type Filler = (request: RouteRequest) => unknown;

function bodyFiller(type: unknown, label: string): Filler {
  if (typeof type === 'function' && hasFields(type)) return (request) => checkBody(type, request.body);
  throw new MisuseError(
    `the @body of ${label} needs a class with @field as its type: an interface is nothing at run time`,
  );
}

const DECIMAL = /^-?(0|[1-9]\d*)(\.\d+)?$/;

function paramFiller(name: string, type: unknown, path: string, label: string): Filler {
  if (!path.split('/').includes(`:${name}`)) throw new MisuseError(`${label} takes :${name}, and ${path} has none`);
  const text: (request: RouteRequest) => string = ({ params }) => params[name] ?? '';
  if (type === String) return text;
  const refuse = (wanted: string) => new BadRequestError(`:${name} must be ${wanted}`);
  if (type === Number) {
    return (request) => {
      // What comes out must be what came in: not 16 for 0x10, not …992 for …993.
      const value = Number(text(request));
      if (!DECIMAL.test(text(request)) || Math.abs(value) > Number.MAX_SAFE_INTEGER) throw refuse('a number');
      return value;
    };
  }
  if (type === Boolean) {
    return (request) => {
      if (text(request) !== 'true' && text(request) !== 'false') throw refuse('true or false');
      return text(request) === 'true';
    };
  }
  throw new MisuseError(
    `@param(${name}) of ${label} must be a string, number or boolean, each by itself: a union is Object at run time`,
  );
}
