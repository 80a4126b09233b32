/*
 * base/bytes.h - little-endian integers, varints, slices and key prefixes. Every format of Varve is little-endian.
 */
#ifndef VR_BASE_BYTES_H
#define VR_BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <varve/types.h>

static inline uint16_t vr_get16(const void *at) {
    const uint8_t *p = (const uint8_t *)at;
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t vr_get32(const void *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static inline uint64_t vr_get64(const void *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static inline void vr_put16(void *at, uint16_t value) {
    uint8_t *p = (uint8_t *)at;
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void vr_put32(void *at, uint32_t value) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    memcpy(at, &value, sizeof value);
}

static inline void vr_put64(void *at, uint64_t value) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(at, &value, sizeof value);
}

/* Varints: seven bits a byte, lowest first, the top bit set on all but the last (LEB128). */
#define VR_VARINT32_BYTES_MAX 5u
#define VR_VARINT64_BYTES_MAX 10u

/* Writes value at out, which has room for VR_VARINT64_BYTES_MAX. Returns the byte after it. */
static inline char *vr_put_varint(char *out, uint64_t value) {
    while (value >= 0x80) {
        *out++ = (char)(value | 0x80);
        value >>= 7;
    }
    *out++ = (char)value;
    return out;
}

/* The number of bytes vr_put_varint() writes. */
static inline size_t vr_varint_bytes(uint64_t value) {
    size_t bytes = 1;
    while (value >= 0x80) {
        value >>= 7;
        bytes++;
    }
    return bytes;
}

/*
 * Reads a varint of at most max from the front of *in and moves *in past it. Returns false, leaving *in, when the bytes end
 * first, the value is above max, or it is not in its shortest form.
 */
static inline bool vr_take_varint(varve_slice *in, uint64_t max, uint64_t *value) {
    uint64_t result = 0;
    for (size_t i = 0; i < in->size && i < VR_VARINT64_BYTES_MAX; i++) {
        uint8_t byte = (uint8_t)in->data[i];
        if (i == 9 && byte > 1) return false; /* more than 64 bits */
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        if ((byte == 0 && i > 0) || result > max) return false;
        in->data += i + 1;
        in->size -= i + 1;
        *value = result;
        return true;
    }
    return false;
}

/* Takes size bytes from the front of *in into *out. Returns false, leaving *in, when there are fewer. */
static inline bool vr_take(varve_slice *in, size_t size, varve_slice *out) {
    if (in->size < size) return false;
    out->data = in->data;
    out->size = size;
    in->data += size;
    in->size -= size;
    return true;
}

/* memcmp order, a proper prefix first: the order of keys everywhere. */
static inline int vr_compare(varve_slice a, varve_slice b) {
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    if (order != 0) return order;
    return (a.size > b.size) - (a.size < b.size);
}

static inline bool vr_equal(varve_slice a, varve_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool vr_starts_with(varve_slice key, varve_slice prefix) {
    return key.size >= prefix.size && (prefix.size == 0 || memcmp(key.data, prefix.data, prefix.size) == 0);
}

/* The length of the longest common prefix. */
static inline size_t vr_common_prefix(varve_slice a, varve_slice b) {
    size_t shorter = a.size < b.size ? a.size : b.size;
    size_t i = 0;
    while (i < shorter && a.data[i] == b.data[i]) i++;
    return i;
}

/*
 * The first eight bytes as a big-endian number, zero-padded: monotone in key order, so prefix(a) < prefix(b) implies a < b;
 * equal prefixes decide nothing ("a" and "a\0" share one).
 */
static inline uint64_t vr_key_prefix(const char *data, size_t size) {
    uint64_t word = 0;
    if (size >= 8) {
        memcpy(&word, data, 8);
    } else {
        for (size_t i = 0; i < size; i++) ((char *)&word)[i] = data[i];
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline size_t vr_min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static inline uint64_t vr_align_up(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

#endif
