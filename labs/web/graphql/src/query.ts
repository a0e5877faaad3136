import { inspect } from 'node:util';
import {
  type FieldNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLOutputType,
  getArgumentValues,
  getNamedType,
  getNullableType,
  getVariableValues,
  isInterfaceType,
  isLeafType,
  isListType,
  isObjectType,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
  typeFromAST,
  type ValidationContext,
  type ValidationRule,
  type VariableDefinitionNode,
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

/**
 * What graphql refuses itself, before it runs a resolver, counts as if it had not been given. A variable that is a list or an
 * object is NaN: it is no size, and to read it once for each operation takes far longer than to send it.
 */
export function argumentsIn(
  context: ValidationContext,
  operation: OperationDefinitionNode,
  { variables }: CostLimitOptions,
): ArgumentsOf {
  const schema = context.getSchema();
  const values: Record<string, unknown> = Object.create(null);
  const leaves: VariableDefinitionNode[] = [];
  for (const each of operation.variableDefinitions ?? []) {
    if (isLeafType(getNullableType(typeFromAST(schema, each.type)))) leaves.push(each);
    else values[each.variable.name.value] = Number.NaN;
  }
  Object.assign(values, getVariableValues(schema, leaves, variables ?? {}).coerced);
  return ({ definition, node }) => {
    try {
      return definition ? getArgumentValues(definition, node, values) : {};
    } catch {
      return {};
    }
  };
}

/**
 * How many objects a field has at most: 1 for what is no list; Infinity for a size that is no count. All of a schema is 1 too,
 * so that tools may ask for it; under aliases, which no tool needs, a query of a kilobyte has it fifteen times.
 */
export function sizeOf(
  field: FieldInQuery,
  argumentsOf: ArgumentsOf,
  { listSize = 10, sizeArguments = ['first', 'last'] }: CostLimitOptions,
): number {
  const { definition, node, isIntrospection } = field;
  if (isIntrospection) return node.alias ? Number.POSITIVE_INFINITY : 1;
  if (!definition) return 1;
  const lists = listsIn(definition.type);
  const args = definition.args.filter(({ name }) => sizeArguments.includes(name));
  if (args.length === 0) return listSize ** lists;
  const values = argumentsOf({ ...field, definition: { ...definition, args } });
  const given = args.map(({ name }) => values[name]).filter((value) => value !== undefined && value !== null);
  const sizes = given.length === 0 ? [listSize] : given.map((n) => (isCount(n) ? n : Number.POSITIVE_INFINITY));
  return Math.max(...sizes) * listSize ** Math.max(0, lists - 1);
}

/** Lists inside of each other: 2 for `[[Int]]`. */
function listsIn(type: GraphQLOutputType): number {
  const bare = getNullableType(type);
  return isListType(bare) ? 1 + listsIn(bare.ofType) : 0;
}

const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && Number(n) >= 0;

export function refuseUnlessCount(what: string, n: unknown): void {
  if (!isCount(n)) throw new InvalidArgumentError(`${what} is ${inspect(n)}: give a whole number from 0 on.`);
}
