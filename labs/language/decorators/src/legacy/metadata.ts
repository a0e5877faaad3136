import 'reflect-metadata';

/** The types that the compiler noted for the parameters of a method; undefined without `emitDecoratorMetadata`. */
export function parameterTypes(target: object, name: string | symbol): readonly unknown[] | undefined {
  return Reflect.getMetadata('design:paramtypes', target, name);
}

/** The type that the compiler noted for a property; undefined without `emitDecoratorMetadata`. */
export function propertyType(target: object, name: string | symbol): unknown {
  return Reflect.getMetadata('design:type', target, name);
}

/** Other libraries keep their notes on the method itself: whoever replaces it hands them on. */
export function copyMetadata(from: object, to: object): void {
  for (const key of Reflect.getOwnMetadataKeys(from))
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, from), to);
}
