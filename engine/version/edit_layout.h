/*
 * version/edit_layout.h - which parts the content of each kind of field has: one table for encoder, decoder and dump.
 */
#ifndef VR_VERSION_EDIT_LAYOUT_H
#define VR_VERSION_EDIT_LAYOUT_H

#include "version/edit.h"

/* The parts of a field's content, which stand in this order. */
enum {
    VR_PART_STORE = 1,     /* varint store id */
    VR_PART_LEVEL = 2,     /* varint */
    VR_PART_NUMBER = 4,    /* varint */
    VR_PART_SEQUENCE = 8,  /* varint */
    VR_PART_ID = 16,       /* 16 bytes */
    VR_PART_NAME = 32,     /* varint size, bytes */
    VR_PART_CONTENT = 64,  /* varint size, bytes */
    VR_PART_OPTIONS = 128, /* varints block_bytes, compression_level + VR_COMPRESSION_BIAS, filter_bits */
    VR_PART_TABLE = 256    /* u64 table id, varints, varint sizes and keys: see encode_table() */
};

#define VR_COMPRESSION_BIAS 7 /* makes the lowest level 0 */

typedef struct vr_edit_layout {
    uint32_t tag;   /* even: a reader that does not know it must refuse the edit */
    unsigned parts; /* VR_PART_* */
    const char *name;
} vr_edit_layout;

/* Indexed by kind. */
extern const vr_edit_layout vr_edit_layouts[VR_EDIT_KIND_COUNT];

/* One readable line about the field, cut at size. */
void vr_edit_describe(const vr_edit_field *field, char *out, size_t size);

#endif
