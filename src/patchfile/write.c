/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "mem.h"
#include "slp.h"

uint32_t slp_out_symbol(struct slp_out *out, const char *name, uint8_t type,
			uint32_t section, uint64_t value, uint64_t size)
{
	struct slp_out_symbol *sym;

	if (!out->nr_symbols)
		ARRAY_ADD(out->symbols, out->nr_symbols)->name = mem_strdup("");
	sym = ARRAY_ADD(out->symbols, out->nr_symbols);
	sym->name = mem_strdup(name);
	sym->type = type;
	sym->section = section;
	sym->value = value;
	sym->size = size;
	return (uint32_t)out->nr_symbols - 1;
}

uint32_t slp_out_section(struct slp_out *out, const char *name, uint32_t type,
			 uint64_t flags, uint64_t align, size_t object)
{
	struct slp_out_section *sec = ARRAY_ADD(out->sections, out->nr_sections);

	sec->name = mem_strdup(name);
	sec->type = type;
	sec->flags = flags;
	sec->align = align ? align : 1;
	sec->object = object;
	return (uint32_t)out->nr_sections - 1;
}

void slp_out_done(struct slp_out *out)
{
	for (size_t i = 0; i < out->nr_sections; i++) {
		free(out->sections[i].name);
		free(out->sections[i].relocs);
		buf_done(&out->sections[i].data);
	}
	for (size_t i = 0; i < out->nr_symbols; i++)
		free(out->symbols[i].name);
	free(out->sections);
	free(out->symbols);
	json_decref(out->meta);
	*out = (struct slp_out){ 0 };
}

/*
 * The file's sections: null, one each of out, .stitch.meta, .symtab, .strtab,
 * .shstrtab, then a .rela of each that has relocations.
 */
struct layout {
	Elf *elf;
	const struct slp_out *out;
	bool be;
	struct buf names, strings, symbols;
	struct buf *relas;     /* one a section */
	size_t meta_index, symtab_index, strtab_index;
};

static Elf_Scn *add_section(struct layout *l, const char *name, const GElf_Shdr *shdr,
			    void *data, size_t size)
{
	Elf_Scn *scn = elf_newscn(l->elf);
	Elf_Data *d = scn ? elf_newdata(scn) : NULL;
	GElf_Shdr sh = *shdr;

	if (!d)
		return NULL;
	d->d_buf = data;
	d->d_size = size;
	d->d_align = sh.sh_addralign;
	d->d_type = ELF_T_BYTE; /* bytes are in the file's order already */
	sh.sh_name = (GElf_Word)buf_add_str(&l->names, name);
	sh.sh_size = size;
	return gelf_update_shdr(scn, &sh) ? scn : NULL;
}

static bool add_content(struct layout *l)
{
	for (size_t i = 0; i < l->out->nr_sections; i++) {
		const struct slp_out_section *sec = &l->out->sections[i];
		GElf_Shdr sh = { .sh_type = sec->type, .sh_flags = sec->flags,
				 .sh_addralign = sec->align };

		if (!add_section(l, sec->name, &sh,
				 sec->type == SHT_NOBITS ? NULL : sec->data.data,
				 sec->data.size))
			return false;
	}
	return true;
}

static void make_symbols(struct layout *l)
{
	const struct slp_out *out = l->out;

	buf_add(&l->strings, "", 1);
	for (size_t i = 0; i < out->nr_symbols; i++) {
		const struct slp_out_symbol *sym = &out->symbols[i];
		uint8_t s[sizeof(Elf64_Sym)] = { 0 };

		if (i) {
			bytes_put(s, 4, buf_add_str(&l->strings, sym->name), l->be);
			s[4] = ELF64_ST_INFO(STB_GLOBAL, sym->type);
			bytes_put(s + 6, 2, sym->section, l->be);
			bytes_put(s + 8, 8, sym->value, l->be);
			bytes_put(s + 16, 8, sym->size, l->be);
		}
		buf_add(&l->symbols, s, sizeof(s));
	}
}

static void make_relas(struct layout *l)
{
	for (size_t i = 0; i < l->out->nr_sections; i++) {
		const struct slp_out_section *sec = &l->out->sections[i];

		for (size_t j = 0; j < sec->nr_relocs; j++) {
			const struct slp_out_reloc *rel = &sec->relocs[j];
			uint8_t r[sizeof(Elf64_Rela)];

			bytes_put(r, 8, rel->off, l->be);
			bytes_put(r + 8, 8, ELF64_R_INFO(rel->symbol, rel->type), l->be);
			bytes_put(r + 16, 8, (uint64_t)rel->addend, l->be);
			buf_add(&l->relas[i], r, sizeof(r));
		}
	}
}

static bool add_relas(struct layout *l)
{
	for (size_t i = 0; i < l->out->nr_sections; i++) {
		AUTO_FREE char *name = mem_fmt(".rela%s", l->out->sections[i].name);
		GElf_Shdr sh = { .sh_type = SHT_RELA, .sh_flags = SHF_INFO_LINK,
				 .sh_addralign = 8, .sh_entsize = sizeof(Elf64_Rela),
				 .sh_link = (GElf_Word)l->symtab_index,
				 .sh_info = (GElf_Word)i + 1 };

		if (l->relas[i].size &&
		    !add_section(l, name, &sh, l->relas[i].data, l->relas[i].size))
			return false;
	}
	return true;
}

static bool add_tables(struct layout *l, char *meta)
{
	GElf_Shdr bytes = { .sh_type = SHT_PROGBITS, .sh_addralign = 1 };
	GElf_Shdr strtab = { .sh_type = SHT_STRTAB, .sh_addralign = 1 };
	GElf_Shdr symtab = { .sh_type = SHT_SYMTAB, .sh_addralign = 8, .sh_info = 1,
			     .sh_link = (GElf_Word)l->strtab_index,
			     .sh_entsize = sizeof(Elf64_Sym) };

	return add_section(l, ".stitch.meta", &bytes, meta, strlen(meta)) &&
	       add_section(l, ".symtab", &symtab, l->symbols.data, l->symbols.size) &&
	       add_section(l, ".strtab", &strtab, l->strings.data, l->strings.size) &&
	       add_relas(l);
}

static bool add_names(struct layout *l)
{
	GElf_Shdr strtab = { .sh_type = SHT_STRTAB, .sh_addralign = 1 };
	Elf_Scn *scn;
	GElf_Ehdr eh;
	Elf_Data *d;

	/* Its own name must be in it before its bytes are handed over. */
	scn = add_section(l, ".shstrtab", &strtab, NULL, 0);
	d = scn ? elf_getdata(scn, NULL) : NULL;
	if (!d || !gelf_getehdr(l->elf, &eh))
		return false;
	d->d_buf = l->names.data;
	d->d_size = l->names.size;
	eh.e_shstrndx = (GElf_Half)elf_ndxscn(scn);
	return gelf_update_ehdr(l->elf, &eh);
}

static bool write_elf(int fd, const struct slp_out *out, char *meta)
{
	struct layout l = { .out = out, .be = out->arch->big_endian };
	GElf_Ehdr eh;
	bool ok = false;

	elf_version(EV_CURRENT);
	l.elf = elf_begin(fd, ELF_C_WRITE, NULL);
	l.relas = mem_alloc(out->nr_sections * sizeof(*l.relas));
	buf_add(&l.names, "", 1);
	l.meta_index = out->nr_sections + 1;
	l.symtab_index = l.meta_index + 1;
	l.strtab_index = l.meta_index + 2;
	make_symbols(&l);
	make_relas(&l);
	if (l.elf && gelf_newehdr(l.elf, ELFCLASS64) && gelf_getehdr(l.elf, &eh)) {
		eh.e_ident[EI_DATA] = l.be ? ELFDATA2MSB : ELFDATA2LSB;
		eh.e_type = ET_REL;
		eh.e_machine = out->arch->machine;
		eh.e_version = EV_CURRENT;
		ok = gelf_update_ehdr(l.elf, &eh) && add_content(&l) &&
		     add_tables(&l, meta) && add_names(&l) &&
		     elf_update(l.elf, ELF_C_WRITE) > 0;
	}
	elf_end(l.elf);
	for (size_t i = 0; i < out->nr_sections; i++)
		buf_done(&l.relas[i]);
	free(l.relas);
	buf_done(&l.names);
	buf_done(&l.strings);
	buf_done(&l.symbols);
	return ok;
}

struct err *slp_write(const struct slp_out *out, const char *path)
{
	AUTO_FREE char *tmp = mem_fmt("%s.new", path);
	AUTO_FREE char *meta = json_dumps(out->meta, JSON_INDENT(1));
	AUTO_CLOSE int fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_sys(errno, "%s", tmp);
	if (!meta || !write_elf(fd, out, meta)) {
		unlink(tmp);
		return err_new(ERR_FAILED, "system", "%s: %s", path, elf_errmsg(-1));
	}
	if (rename(tmp, path)) {
		unlink(tmp);
		return err_sys(errno, "%s", path);
	}
	return NULL;
}
