// The bookshop of the suite and of the type tests.
import { Entity, Field, ForeignKey, type Issue, Model, type Ref, Reverse } from '#lab';

@Entity()
export class Publisher extends Model {
  @Field.int({ primaryKey: true }) declare id: number;
  @Field.char({ max: 40, unique: true }) declare name: string;
  @Reverse(() => Author, 'publisher') declare authors: readonly Author[];
}

/** Without @Entity(): its fields belong to the entities that extend it. */
export class Dated extends Model {
  @Field.timestamp({ default: () => new Date() }) declare createdAt: Date;
  @Field.int({ primaryKey: true }) declare id: number;
}

@Entity()
export class Author extends Dated {
  @Field.char({ max: 50 }) declare name: string;
  @Field.int({ null: true }) declare born: number | null;
  @Field.timestamp({ default: new Date(0) }) declare since: Date;
  @ForeignKey(() => Publisher, { onDelete: 'setNull', null: true }) declare publisher: Ref<Publisher> | null;
  @Reverse(() => Book, 'author') declare books: readonly Book[];
}

const price = (value: string) => (value.startsWith('-') ? 'must not be negative' : undefined);

@Entity()
export class Book extends Model {
  @Field.int({ primaryKey: true }) declare id: number;
  @Field.char({ max: 50 }) declare title: string;
  @Field.decimal({ digits: 8, scale: 2, validate: price }) declare price: string;
  @Field.int({ default: 0 }) declare stock: number;
  @ForeignKey(() => Author, { onDelete: 'cascade' }) declare author: Ref<Author>;
  @Field.text({ null: true }) declare blurb: string | null;

  override validate(): Issue[] {
    const sold = this.blurb?.startsWith('Sold out') && this.stock > 0;
    return [...super.validate(), ...(sold ? [{ field: 'stock', message: 'is not 0, but sold out' }] : [])];
  }
}

/** An order can't lose its book: the delete is refused. */
@Entity({ table: 'order' })
export class Order extends Model {
  @Field.int({ primaryKey: true }) declare id: number;
  @Field.int({ default: 1 }) declare quantity: number;
  @Field.char({ max: 10, default: 'open' }) declare state: string;
  @ForeignKey(() => Book, { onDelete: 'protect' }) declare book: Ref<Book>;
  @Field.int({ version: true }) declare version: number;
}

export const ENTITIES = [Publisher, Author, Book, Order];
