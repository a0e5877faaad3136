import { inspect } from 'node:util';
import {
  type FieldNode,
  type GraphQLField,
  type GraphQLNamedType,
  getArgumentValues,
  getNamedType,
  getNullableType,
  getVariableValues,
  isInterfaceType,
  isListType,
  isObjectType,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';
import { InvalidArgumentError, type LimitCode, LimitExceededError } from './errors.ts';

/** What a selection set selects from; undefined in a query that the schema doesn't know. */
export type Parent = GraphQLNamedType | null | undefined;

/** A field of a query, as the schema has it. */
export interface FieldInQuery {
  readonly node: FieldNode;
  /** Undefined for a field that the schema doesn't have: another rule refuses it. */
  readonly definition: GraphQLField<unknown, unknown> | undefined;
  /** What its selections select from. */
  readonly type: Parent;
  /** `__schema`, `__type` and what lies below: answered from memory, and bounded by graphql's own MaxIntrospectionDepthRule. */
  readonly isIntrospection: boolean;
}

export function fieldIn(context: ValidationContext, parent: Parent, node: FieldNode): FieldInQuery {
  const definition = definitionOf(context, parent, node.name.value);
  const type = definition && getNamedType(definition.type);
  return { node, definition, type, isIntrospection: type?.name.startsWith('__') ?? false };
}

function definitionOf(context: ValidationContext, parent: Parent, name: string): FieldInQuery['definition'] {
  if (name === TypeNameMetaFieldDef.name) return TypeNameMetaFieldDef;
  if (parent === context.getSchema().getQueryType()) {
    for (const meta of [SchemaMetaFieldDef, TypeMetaFieldDef]) if (meta.name === name) return meta;
  }
  return isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
}

/** Refuses each operation that is more than `max`, by what `found` makes of it. @throws InvalidArgumentError */
export function limit(
  code: LimitCode,
  max: number,
  found: (context: ValidationContext, operation: OperationDefinitionNode) => number,
): ValidationRule {
  refuseUnlessCount(code, max);
  return (context) => ({
    OperationDefinition(operation) {
      const size = found(context, operation);
      // Not `size > max`: NaN is not little.
      if (!(size <= max)) context.reportError(new LimitExceededError(code, size, max, operation));
      return false;
    },
    FragmentDefinition: () => false,
  });
}

export interface CostLimitOptions {
  /** Of this request, as they came: a rule with variables is a rule of one request. */
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  /** Objects in a list that doesn't say, or whose argument is absent or null. Default 10. */
  readonly listSize?: number;
  /** Arguments that say how many objects a field has at most. Default `first` and `last`. */
  readonly sizeArguments?: readonly string[];
}

/** The arguments of a field, with literals, variables and defaults in their places. */
export type ArgumentsOf = (field: FieldInQuery) => Readonly<Record<string, unknown>>;

/** What graphql refuses itself, before it runs a resolver, counts as if it had not been given. */
export function argumentsIn(
  context: ValidationContext,
  operation: OperationDefinitionNode,
  { variables }: CostLimitOptions,
): ArgumentsOf {
  const definitions = operation.variableDefinitions ?? [];
  const values = getVariableValues(context.getSchema(), definitions, variables ?? {}).coerced ?? {};
  return ({ definition, node }) => {
    try {
      return definition ? getArgumentValues(definition, node, values) : {};
    } catch {
      return {};
    }
  };
}

/** How many objects a field has at most: 1 for what is no list; Infinity for a size that is no count. */
export function sizeOf(
  field: FieldInQuery,
  argumentsOf: ArgumentsOf,
  { listSize = 10, sizeArguments = ['first', 'last'] }: CostLimitOptions,
): number {
  const { definition, isIntrospection } = field;
  if (!definition || isIntrospection) return 1;
  const sizing = definition.args.filter(({ name }) => sizeArguments.includes(name));
  if (sizing.length === 0) return isListType(getNullableType(definition.type)) ? listSize : 1;
  const values = argumentsOf(field);
  const given = sizing.map(({ name }) => values[name]).filter((value) => value !== undefined && value !== null);
  if (given.length === 0) return listSize;
  return Math.max(...given.map((n) => (isCount(n) ? n : Number.POSITIVE_INFINITY)));
}

const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && Number(n) >= 0;

export function refuseUnlessCount(what: string, n: unknown): void {
  if (!isCount(n)) throw new InvalidArgumentError(`${what} is ${inspect(n)}: give a whole number from 0 on.`);
}
