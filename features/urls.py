from django.urls import path

from features import label_views, views

app_name = "features"
_feature = "experiments/<int:experiment_id>/features/<int:index>/"
_label = f"{_feature}labels/<int:label_id>/"
urlpatterns = [
    path("features/", views.newest, name="newest"),
    path("experiments/<int:experiment_id>/features/", views.gallery, name="gallery"),
    path("experiments/<int:experiment_id>/features/jump/", views.jump, name="jump"),
    path(_feature, views.detail, name="detail"),
    path(f"{_feature}examples/", views.examples, name="examples"),
    path(f"{_feature}labels/", label_views.add_label, name="add-label"),
    path(f"{_label}edit/", label_views.edit_label, name="edit-label"),
    path(f"{_label}withdraw/", label_views.withdraw_label, name="withdraw-label"),
    path(f"{_label}restore/", label_views.restore_label, name="restore-label"),
    path(f"{_label}choose/", label_views.choose_label, name="choose-label"),
    path(f"{_label}history/", label_views.label_history, name="label-history"),
]
