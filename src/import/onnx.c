/* onnx.c: the initialisers of an ONNX file, under the names that their model gave them.
 *
 * ModelProto.graph (7) has nodes (1) and initialisers (5). Exporters rename the matrices of products, such as
 * "onnx::MatMul_743", but not biases; so a matrix is named after the bias that is added to its product. Three forms are
 * read:
 *     MatMul(x, B)                  B float [cols][rows], transposed
 *     MatMulNBits(x, B, scales)     four bits, blocks along a row, zero point 8
 *     NAME_quantized with NAME_scale and NAME_zero_point: eight bits, one scale for all
 * Any initialiser under its own name (".weight", ".bias") is taken as it is. What is none of these and too large to be
 * a constant is an error: dropping it would change the answer. */
#include <stdlib.h>
#include <string.h>

#include "import/import_int.h"
#include "import/protobuf.h"

enum { MAX_NODES = 1 << 18, MAX_INPUTS = 4, CONSTANT_VALUES = 64 };
enum { ONNX_FLOAT = 1, ONNX_UINT8 = 2, ONNX_INT8 = 3, ONNX_INT64 = 7, ONNX_FLOAT16 = 10, ONNX_BFLOAT16 = 16 };

typedef struct initialiser {
    span name, raw;
    uint64_t type, dims[4], n_values;
    unsigned n_dims;
    bool odd;      /* a shape or a place that is not read */
    bool consumed; /* part of a weight: its scales, its zero point, or the weight itself */
    uint64_t number; /* the first of float_data or int32_data: scalars lie there */
    bool has_number;
} initialiser;

typedef struct node {
    span op, input[MAX_INPUTS], output;
    unsigned n_inputs;
    uint64_t rows, cols, bits, block; /* attributes N, K, bits, block_size */
} node;

typedef struct sum { /* an addition of a bias to something */
    span what, bias;
} sum;

typedef struct graph {
    import_weights *w;
    initialiser *init; /* sorted by name */
    node *nodes;
    sum *sums; /* sorted by what */
    size_t n_init, n_nodes, n_sums;
} graph;

/* ---- messages ---- */

static bool read_dim(initialiser *t, uint64_t d)
{
    if (t->n_dims >= ARRAY_LEN(t->dims) || d > IMPORT_MAX_DIM || t->n_values > UINT64_MAX / IMPORT_MAX_DIM)
        return false;
    t->dims[t->n_dims++] = d;
    t->n_values *= d;
    return true;
}

static void read_dims(initialiser *t, const protobuf_field *f)
{
    if (f->wire != PROTOBUF_BYTES) {
        t->odd |= !read_dim(t, f->value);
        return;
    }
    protobuf r = protobuf_of(f->bytes);
    for (uint64_t d; r.p < r.end;)
        if (!protobuf_varint(&r, &d) || !read_dim(t, d)) {
            t->odd = true;
            return;
        }
}

/* float_data (4, packed f32) or int32_data (5, packed varints): only the first is wanted. */
static void read_number(initialiser *t, const protobuf_field *f)
{
    if (t->has_number)
        return;
    protobuf r = protobuf_of(f->bytes);
    t->number = f->value;
    t->has_number = f->wire != PROTOBUF_BYTES;
    if (!t->has_number && f->number == 5) {
        t->has_number = protobuf_varint(&r, &t->number);
    } else if (!t->has_number && f->bytes.n >= 4) {
        for (size_t i = 0; i < 4; i++)
            t->number |= (uint64_t)r.p[i] << (8 * i);
        t->has_number = true;
    }
}

static bool read_initialiser(initialiser *t, span message)
{
    protobuf r = protobuf_of(message);
    protobuf_field f;
    *t = (initialiser){ .name = { "", 0 }, .raw = { "", 0 }, .n_values = 1 };
    while (protobuf_next(&r, &f)) {
        switch (f.number) {
        case 1: read_dims(t, &f); break;
        case 2: t->type = f.value; break;
        case 4:
        case 5: read_number(t, &f); break;
        case 8: t->name = f.bytes.p ? f.bytes : t->name; break;
        case 9: t->raw = f.bytes.p ? f.bytes : t->raw; break;
        case 14: t->odd |= f.value != 0; break; /* its data are in another file */
        default: break;
        }
    }
    return !r.bad;
}

static bool read_attribute(node *n, span message)
{
    protobuf r = protobuf_of(message);
    protobuf_field f;
    span name = { "", 0 };
    uint64_t value = 0;
    while (protobuf_next(&r, &f)) {
        if (f.number == 1 && f.bytes.p)
            name = f.bytes;
        if (f.number == 3)
            value = f.value;
    }
    struct {
        const char *name;
        uint64_t *to;
    } known[] = { { "N", &n->rows }, { "K", &n->cols }, { "bits", &n->bits }, { "block_size", &n->block } };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (span_is(name, known[i].name))
            *known[i].to = value;
    return !r.bad;
}

static bool read_node(node *n, span message)
{
    protobuf r = protobuf_of(message);
    protobuf_field f;
    bool ok = true;
    *n = (node){ .op = { "", 0 }, .output = { "", 0 } };
    while (ok && protobuf_next(&r, &f)) {
        if (f.wire != PROTOBUF_BYTES)
            continue;
        if (f.number == 1) {
            if (n->n_inputs < MAX_INPUTS)
                n->input[n->n_inputs] = f.bytes;
            n->n_inputs++;
        } else if (f.number == 2 && !n->output.n) {
            n->output = f.bytes;
        } else if (f.number == 4) {
            n->op = f.bytes;
        } else if (f.number == 5) {
            ok = read_attribute(n, f.bytes);
        }
    }
    return ok && !r.bad;
}

/* ---- the graph ---- */

static int compare(span a, span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

/* A name is the first member of what is sorted here. */
static int by_name(const void *a, const void *b)
{
    return compare(*(const span *)a, *(const span *)b);
}

static initialiser *find(const graph *g, span name)
{
    return g->n_init ? bsearch(&name, g->init, g->n_init, sizeof *g->init, by_name) : NULL;
}

static initialiser *find_joined(const graph *g, span stem, const char *end)
{
    char text[IMPORT_MAX_NAME + 32];
    size_t n = strlen(end);
    if (stem.n > IMPORT_MAX_NAME)
        return NULL;
    memcpy(text, stem.p, stem.n);
    memcpy(text + stem.n, end, n);
    return find(g, (span){ text, stem.n + n });
}

static bool ends(span s, const char *end)
{
    size_t n = strlen(end);
    return s.n > n && memcmp(s.p + s.n - n, end, n) == 0;
}

static status read_graph(graph *g, span message, error *err)
{
    const char *file = g->w->file;
    protobuf r = protobuf_of(message);
    protobuf_field f;
    while (protobuf_next(&r, &f)) {
        g->n_nodes += f.number == 1;
        g->n_init += f.number == 5;
    }
    if (r.bad)
        return fail(err, E_FORMAT, "%s: the graph is damaged or cut off", file);
    if (g->n_nodes > MAX_NODES || g->n_init > IMPORT_MAX_TENSORS)
        return fail(err, E_RANGE, "%s: %zu nodes and %zu initialisers; the limits are %d and %d", file, g->n_nodes,
                    g->n_init, MAX_NODES, IMPORT_MAX_TENSORS);
    g->init = mem_array(g->n_init + 1, sizeof *g->init);
    g->nodes = mem_array(g->n_nodes + 1, sizeof *g->nodes);
    g->sums = mem_array(g->n_nodes + 1, sizeof *g->sums);
    if (!g->init || !g->nodes || !g->sums)
        return fail(err, E_NOMEM, "%s: no memory for its graph", file);
    g->n_init = g->n_nodes = 0;
    bool ok = true;
    for (r = protobuf_of(message); ok && protobuf_next(&r, &f);) {
        if (f.number == 1)
            ok = read_node(&g->nodes[g->n_nodes++], f.bytes);
        else if (f.number == 5)
            ok = read_initialiser(&g->init[g->n_init++], f.bytes);
    }
    if (!ok)
        return fail(err, E_FORMAT, "%s: node %zu or initialiser %zu is damaged", file, g->n_nodes, g->n_init);
    qsort(g->init, g->n_init, sizeof *g->init, by_name);
    for (size_t i = 1; i < g->n_init; i++)
        if (compare(g->init[i - 1].name, g->init[i].name) == 0)
            return fail(err, E_FORMAT, "%s: initialiser '%.*s' is there twice", file,
                        (int)(g->init[i].name.n < 80 ? g->init[i].name.n : 80), g->init[i].name.p);
    return OK;
}

static void find_sums(graph *g)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        for (unsigned k = 0; span_is(n->op, "Add") && n->n_inputs == 2 && k < 2; k++)
            if (ends(n->input[k], ".bias") && find(g, n->input[k]))
                g->sums[g->n_sums++] = (sum){ n->input[1 - k], n->input[k] };
    }
    qsort(g->sums, g->n_sums, sizeof *g->sums, by_name);
}

/* ---- weights ---- */

/* A weight with the name of `bias` but for the end, or the name itself when that is no bias. */
static status add(graph *g, const import_tensor *t, span name, error *err)
{
    char text[IMPORT_MAX_NAME + 16];
    if (ends(name, ".bias") && t->n_dims == 2 && name.n <= IMPORT_MAX_NAME) {
        memcpy(text, name.p, name.n - 5);
        memcpy(text + name.n - 5, ".weight", 7);
        name = (span){ text, name.n + 2 };
    }
    if (g->w->n >= g->n_init)
        return fail(err, E_FORMAT, "%s: more weights than initialisers", g->w->file);
    return import_weights_add(g->w, t, name, err);
}

static status damaged(const graph *g, const initialiser *t, error *err)
{
    return fail(err, E_FORMAT, "%s: initialiser '%.*s': %zu bytes, or its shape, are not what its use wants",
                g->w->file, (int)(t->name.n < 80 ? t->name.n : 80), t->name.p, t->raw.n);
}

static import_kind float_kind(const initialiser *t)
{
    return t->type == ONNX_FLOAT ? IMPORT_F32 : t->type == ONNX_FLOAT16 ? IMPORT_F16
           : t->type == ONNX_BFLOAT16 ? IMPORT_BF16 : IMPORT_OTHER;
}

static bool is_matrix(const initialiser *t, unsigned n_dims, uint64_t bytes_a_value)
{
    return !t->odd && t->n_dims == n_dims && t->n_values > 0 && t->n_values <= SIZE_MAX / 8 &&
           t->raw.n == t->n_values * bytes_a_value;
}

static status add_floats(graph *g, initialiser *t, bool transposed, span name, error *err)
{
    import_tensor out = { .kind = float_kind(t), .transposed = transposed, .n_dims = (int)t->n_dims };
    if (!is_matrix(t, t->n_dims == 1 ? 1 : 2, out.kind == IMPORT_F32 ? 4 : 2))
        return damaged(g, t, err);
    out.rows = t->n_dims == 1 ? 1 : t->dims[transposed];
    out.cols = t->n_dims == 1 ? t->dims[0] : t->dims[!transposed];
    out.data = (const unsigned char *)t->raw.p;
    t->consumed = true;
    return add(g, &out, name, err);
}

static status add_nbits(graph *g, const node *n, initialiser *t, span name, error *err)
{
    initialiser *scales = find(g, n->input[2]);
    if (n->bits != 4 || n->n_inputs > 3 || n->block < 16 || n->block > 1 << 16 || (n->block & (n->block - 1)))
        return fail(err, E_UNSUPPORTED, "%s: '%.*s': %llu bits in blocks of %llu%s; four bits, no zero points are read",
                    g->w->file, (int)(name.n < 80 ? name.n : 80), name.p, (unsigned long long)n->bits,
                    (unsigned long long)n->block, n->n_inputs > 3 ? " with zero points" : "");
    if (!n->cols || !n->rows || n->cols > IMPORT_MAX_DIM || n->rows > IMPORT_MAX_DIM)
        return damaged(g, t, err);
    uint64_t blocks = n->rows * ((n->cols + n->block - 1) / n->block);
    if (!scales || scales->odd || scales->type != ONNX_FLOAT || scales->raw.n != blocks * 4 || t->odd ||
        t->type != ONNX_UINT8 || t->raw.n != blocks * (n->block / 2))
        return damaged(g, t, err);
    t->consumed = scales->consumed = true;
    import_tensor out = { .kind = IMPORT_NBITS4, .n_dims = 2, .rows = n->rows, .cols = n->cols,
                          .data = (const unsigned char *)t->raw.p, .scales = (const unsigned char *)scales->raw.p,
                          .block = (uint32_t)n->block };
    return add(g, &out, name, err);
}

static bool scalar(const initialiser *t, uint64_t type, size_t bytes, uint64_t *out)
{
    if (!t || t->odd || t->type != type || t->n_values != 1)
        return false;
    *out = t->number;
    for (size_t i = 0; t->raw.n == bytes && i < bytes; i++)
        *out |= (uint64_t)(unsigned char)t->raw.p[i] << (8 * i);
    return t->has_number || t->raw.n == bytes;
}

static status add_affine(graph *g, initialiser *t, span stem, error *err)
{
    initialiser *scale = find_joined(g, stem, "_scale"), *zero = find_joined(g, stem, "_zero_point");
    uint64_t factor, offset;
    import_tensor out = { .kind = t->type == ONNX_UINT8 ? IMPORT_U8 : IMPORT_I8, .n_dims = 2, .rows = t->dims[0],
                          .cols = t->dims[1], .data = (const unsigned char *)t->raw.p };
    if (!is_matrix(t, 2, 1) || (t->type != ONNX_UINT8 && t->type != ONNX_INT8) ||
        !scalar(scale, ONNX_FLOAT, 4, &factor) || !scalar(zero, t->type, 1, &offset))
        return damaged(g, t, err);
    uint32_t bits = (uint32_t)factor;
    memcpy(&out.scale, &bits, 4);
    out.zero = out.kind == IMPORT_U8 ? (uint8_t)offset : (int8_t)(uint8_t)offset;
    t->consumed = scale->consumed = zero->consumed = true;
    return add(g, &out, stem, err);
}

/* Matrices of products, named after the bias that follows. */
static status add_products(graph *g, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        bool plain = span_is(n->op, "MatMul"), packed = span_is(n->op, "MatMulNBits");
        if ((!plain && !packed) || n->n_inputs < (packed ? 3u : 2u))
            continue;
        initialiser *t = find(g, n->input[1]);
        const sum *named = g->n_sums ? bsearch(&n->output, g->sums, g->n_sums, sizeof *g->sums, by_name) : NULL;
        if (!t || !named || t->consumed)
            continue; /* a product of two activations; what is left over is looked at later */
        s = packed ? add_nbits(g, n, t, named->bias, err) : add_floats(g, t, true, named->bias, err);
    }
    return s;
}

static status add_named(graph *g, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < g->n_init; i++) {
        initialiser *t = &g->init[i];
        if (t->consumed)
            continue;
        if (ends(t->name, "_quantized"))
            s = add_affine(g, t, (span){ t->name.p, t->name.n - strlen("_quantized") }, err);
        else if ((ends(t->name, ".weight") || ends(t->name, ".bias")) && float_kind(t) != IMPORT_OTHER)
            s = add_floats(g, t, false, t->name, err);
    }
    for (size_t i = 0; !s && i < g->n_init; i++) {
        const initialiser *t = &g->init[i];
        if (!t->consumed && t->n_values > CONSTANT_VALUES && !ends(t->name, "position_ids"))
            s = fail(err, E_UNSUPPORTED, "%s: initialiser '%.*s' of %llu values: no weight that is known uses it so",
                     g->w->file, (int)(t->name.n < 80 ? t->name.n : 80), t->name.p, (unsigned long long)t->n_values);
    }
    return s;
}

status import_onnx(import_weights *out, const unsigned char *p, size_t n, error *err)
{
    graph g = { .w = out };
    protobuf r = protobuf_of((span){ (const char *)p, n });
    protobuf_field f;
    span body = { NULL, 0 };
    while (protobuf_next(&r, &f))
        if (f.number == 7 && f.wire == PROTOBUF_BYTES)
            body = f.bytes;
    if (r.bad || !body.p)
        return fail(err, E_FORMAT, "%s: not an ONNX file, or cut off", out->file);
    status s = read_graph(&g, body, err);
    if (!s) {
        find_sums(&g);
        s = add_products(&g, err);
    }
    if (!s)
        s = add_named(&g, err);
    mem_free(g.init);
    mem_free(g.nodes);
    mem_free(g.sums);
    return s;
}
