import { inspect } from 'node:util';
import {
  type FieldNode,
  type GraphQLField,
  type GraphQLSchema,
  getArgumentValues,
  getNamedType,
  getNullableType,
  getVariableValues,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  type SelectionNode,
  type SelectionSetNode,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';
import { InvalidArgumentError, type LimitCode, LimitExceededError } from './errors.ts';

/** A field of a query, as the schema has it. */
export interface FieldInQuery {
  readonly node: FieldNode;
  /** Undefined for a field that the schema doesn't have: another rule refuses it. */
  readonly definition: GraphQLField<unknown, unknown> | undefined;
  /** `__schema`, `__type` and what lies below: answered from memory, and bounded by graphql's own MaxIntrospectionDepthRule. */
  readonly isIntrospection: boolean;
}

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
  const ofSet = (set: SelectionSetNode | undefined, parent: unknown, level: number): number => {
    if (level > DEEPEST) return Number.POSITIVE_INFINITY;
    let size = 0;
    for (const each of set?.selections ?? []) size = join(size, ofSelection(each, parent, level + 1));
    return size;
  };
  const ofSelection = (node: SelectionNode, parent: unknown, level: number): number => {
    if (node.kind === Kind.FIELD) {
      const definition = definitionOf(schema, parent, node.name.value);
      const type = definition && getNamedType(definition.type);
      const isIntrospection = type?.name.startsWith('__') ?? false;
      return field({ node, definition, isIntrospection }, ofSet(node.selectionSet, type, level));
    }
    if (node.kind === Kind.INLINE_FRAGMENT) {
      const on = node.typeCondition ? schema.getType(node.typeCondition.name.value) : parent;
      return ofSet(node.selectionSet, on, level);
    }
    return ofFragment(node.name.value, level);
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
  return limit('DEPTH_LIMIT', max, () => ({
    field: ({ isIntrospection }, below) => (isIntrospection ? 1 : 1 + below),
    join: Math.max,
  }));
}

/** Refuses operations with more than `max` aliases: each may run its field once more. @throws InvalidArgumentError */
export function aliasLimit(max: number): ValidationRule {
  return limit('ALIAS_LIMIT', max, () => ({
    field: ({ node }, below) => (node.alias ? 1 : 0) + below,
    join: (a, b) => a + b,
  }));
}

export interface CostLimitOptions {
  /** Of this request, as they came: a rule with variables is a rule of one request. */
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  /** Objects in a list that doesn't say, or whose argument is absent or null. Default 10. */
  readonly listSize?: number;
  /** Arguments that say how many objects a field has at most. Default `first` and `last`. */
  readonly sizeArguments?: readonly string[];
}

/**
 * Refuses operations that may have to resolve more than `max` fields: each field is 1, and what lies below it counts as often
 * as it has objects. `@skip` and `@include` change nothing. A negative size is refused, as is one that is no number at all.
 * @throws InvalidArgumentError
 */
export function costLimit(max: number, options: CostLimitOptions = {}): ValidationRule {
  const { variables, listSize = 10, sizeArguments = ['first', 'last'] } = options;
  refuseUnlessCount('listSize', listSize);
  return limit('COST_LIMIT', max, (context, operation) => {
    const values = variablesOf(context.getSchema(), operation, variables ?? {});
    return {
      field: (field, below) => 1 + sizeOf(field, values, listSize, sizeArguments) * below,
      join: (a, b) => a + b,
    };
  });
}

/** How many objects a field has at most. */
function sizeOf(
  { node, definition, isIntrospection }: FieldInQuery,
  variables: Record<string, unknown>,
  listSize: number,
  sizeArguments: readonly string[],
): number {
  if (!definition || isIntrospection) return 1;
  const sizing = definition.args.filter(({ name }) => sizeArguments.includes(name));
  if (sizing.length === 0) return isListType(getNullableType(definition.type)) ? listSize : 1;
  const values = argumentsOf(definition, node, variables);
  const given = sizing.map(({ name }) => values[name]).filter((value) => value !== undefined && value !== null);
  if (given.length === 0) return listSize;
  return Math.max(...given.map((n) => (isCount(n) ? n : Number.POSITIVE_INFINITY)));
}

/** With their defaults. What graphql refuses itself, before it runs a resolver, counts as if it had not been given. */
function variablesOf(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode,
  inputs: Readonly<Record<string, unknown>>,
) {
  return getVariableValues(schema, operation.variableDefinitions ?? [], inputs).coerced ?? {};
}

function argumentsOf(
  definition: GraphQLField<unknown, unknown>,
  node: FieldNode,
  variables: Record<string, unknown>,
): Record<string, unknown> {
  try {
    return getArgumentValues(definition, node, variables);
  } catch {
    return {};
  }
}

function definitionOf(schema: GraphQLSchema, parent: unknown, name: string): FieldInQuery['definition'] {
  if (name === TypeNameMetaFieldDef.name) return TypeNameMetaFieldDef;
  if (parent === schema.getQueryType()) {
    for (const meta of [SchemaMetaFieldDef, TypeMetaFieldDef]) if (meta.name === name) return meta;
  }
  return isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
}

function limit(
  code: LimitCode,
  max: number,
  measureOf: (context: ValidationContext, operation: OperationDefinitionNode) => Measure,
): ValidationRule {
  refuseUnlessCount(code, max);
  return (context) => ({
    OperationDefinition(operation) {
      const found = measure(context, operation, measureOf(context, operation));
      // Not `found > max`: NaN is not little.
      if (!(found <= max)) context.reportError(new LimitExceededError(code, found, max, operation));
      return false;
    },
    FragmentDefinition: () => false,
  });
}

const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && Number(n) >= 0;

function refuseUnlessCount(what: string, n: unknown): void {
  if (!isCount(n)) throw new InvalidArgumentError(`${what} is ${inspect(n)}: give a whole number from 0 on.`);
}
