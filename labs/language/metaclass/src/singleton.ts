import { type Decorate, intercept } from './class.ts';
import { ReentrantSingletonError } from './errors.ts';

/**
 * `new` constructs once, and then gives the same instance, whatever its arguments. A constructor that throws leaves
 * nothing behind: the next `new` tries again.
 *
 * A subclass is an ordinary class until it is decorated too, and then has an instance of its own. Inside its own body
 * a class that was decorated by a plain call sees itself undecorated (`new Config()` there is a second one): write
 * `new this()` in statics. A static `#private` read through `this` throws, since `this` is the Proxy.
 *
 * @throws ReentrantSingletonError from `new` in the constructor itself.
 */
export function singleton(): Decorate {
  return (cls) => {
    let instance: object | undefined;
    let constructing = false;
    return intercept(cls, (make) => {
      if (instance) return instance;
      if (constructing) throw new ReentrantSingletonError(cls.name);
      constructing = true;
      try {
        instance = make();
        return instance;
      } finally {
        constructing = false;
      }
    });
  };
}
