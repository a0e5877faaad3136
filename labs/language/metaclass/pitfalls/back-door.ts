// Flaw: prototype.constructor still is the class behind the Proxy: `new config.constructor()` makes a second one.
// Seen in: https://github.com/tc39/proposal-decorators/issues/236
// Caught by: an instance leads back to the singleton, not behind it
import { type Decorate, singleton as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function singleton(): Decorate {
  return (cls) => {
    const only = reference()(cls);
    Object.defineProperty(cls.prototype, 'constructor', { value: cls });
    return only;
  };
}
