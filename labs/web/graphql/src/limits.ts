import {
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';
import {
  argumentsIn,
  type CostLimitOptions,
  type FieldInQuery,
  fieldIn,
  limit,
  type Parent,
  refuseUnlessCount,
  sizeOf,
} from './query.ts';

export interface Measure {
  /** What a field is, when what lies below it is `below`: 0 for a leaf. */
  readonly field: (field: FieldInQuery, below: number) => number;
  /** What two that lie beside each other are together. */
  readonly join: (a: number, b: number) => number;
}

/** Selections inside of one another, spreads as well. Behind this the stack would end. */
const DEEPEST = 500;

/**
 * Measures an operation from its leaves up. A fragment is what it would be if its text stood there; it is measured once,
 * however often it is spread, so that this takes as long as the query is long. One that lies inside of itself has no end:
 * Infinity.
 */
export function measure(
  context: ValidationContext,
  operation: OperationDefinitionNode,
  { field, join }: Measure,
): number {
  const schema = context.getSchema();
  const fragments = new Map<string, number>();
  const ofSet = (set: SelectionSetNode | undefined, parent: Parent, level: number): number => {
    if (level > DEEPEST) return Number.POSITIVE_INFINITY;
    let size = 0;
    for (const node of set?.selections ?? []) size = join(size, ofSelection(node, parent, level + 1));
    return size;
  };
  const ofSelection = (node: SelectionNode, parent: Parent, level: number): number => {
    if (node.kind === Kind.FRAGMENT_SPREAD) return ofFragment(node.name.value, level);
    if (node.kind === Kind.INLINE_FRAGMENT) {
      const on = node.typeCondition ? schema.getType(node.typeCondition.name.value) : parent;
      return ofSet(node.selectionSet, on, level);
    }
    const found = fieldIn(context, parent, node);
    return field(found, ofSet(node.selectionSet, found.type, level));
  };
  const ofFragment = (name: string, level: number): number => {
    const known = fragments.get(name);
    if (known !== undefined) return known;
    fragments.set(name, Number.POSITIVE_INFINITY);
    const fragment = context.getFragment(name);
    const on = fragment && schema.getType(fragment.typeCondition.name.value);
    const size = ofSet(fragment?.selectionSet, on, level);
    fragments.set(name, size);
    return size;
  };
  return ofSet(operation.selectionSet, schema.getRootType(operation.operation), 0);
}

/** Refuses operations that are more than `max` levels deep. @throws InvalidArgumentError */
export function depthLimit(max: number): ValidationRule {
  return limit('DEPTH_LIMIT', max, (context, operation) =>
    measure(context, operation, {
      field: ({ isIntrospection }, below) => (isIntrospection ? 1 : 1 + below),
      join: Math.max,
    }),
  );
}

/** Refuses operations with more than `max` aliases: each may run its field once more. @throws InvalidArgumentError */
export function aliasLimit(max: number): ValidationRule {
  return limit('ALIAS_LIMIT', max, (context, operation) =>
    measure(context, operation, {
      field: ({ node }, below) => (node.alias ? 1 : 0) + below,
      join: (a, b) => a + b,
    }),
  );
}

/**
 * Refuses operations that may have to resolve more than `max` fields: each field is 1, and what lies below it counts as often
 * as it has objects. An alias is in each of them, so it costs 1 for each 100 characters. `@skip` and `@include` change nothing. A
 * negative size is refused, as is one that is no number at all.
 * @throws InvalidArgumentError
 */
export function costLimit(max: number, options: CostLimitOptions = {}): ValidationRule {
  refuseUnlessCount('listSize', options.listSize ?? 0);
  return limit('COST_LIMIT', max, (context, operation) => {
    const argumentsOf = argumentsIn(context, operation, options);
    return measure(context, operation, {
      field: (field, below) => 1 + lengthOf(field) + sizeOf(field, argumentsOf, options) * below,
      join: (a, b) => a + b,
    });
  });
}

const lengthOf = ({ node: { alias } }: FieldInQuery): number => Math.floor((alias?.value.length ?? 0) / 100);
